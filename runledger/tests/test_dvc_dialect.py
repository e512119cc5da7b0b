"""A dvc.yaml means here what it means to DVC, or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest
import yaml
from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo

from runledger.errors import UserError
from runledger.project import read_dvc

PARAMS = {
    "lr": 0.1,
    "flag": True,
    "none": None,
    "names": ["a", "b"],
    "pairs": [{"n": 1}, {"n": 2}],
    "runs": {"x": {"n": 1, "deep": {"m": "q"}}, "y": {"n": 2, "deep": {"m": "r"}}},
    "numbers": {"one": 1, "two": 2.5},
    "key": "of params",
}
ALIKE = {
    "a plain stage": "a: {cmd: run it, deps: [in.txt], outs: [out.txt]}",
    "no deps, no outs": "a: {cmd: run it}",
    "a stage and an id": "train-x: {cmd: run it, outs: [out.txt]}",
    "blanks in quotes": """a: {cmd: 'echo "two  blanks"  and   more'}""",
    "a command of two lines": "a:\n  cmd: |\n    one\n    two\n  outs: [o]",
    "a folded command": "a:\n  cmd: >-\n    one\n    two\n  outs: [o]",
    "a folded command that ends in a newline": "a:\n  cmd: >\n    one\n    two\n",
    "params by key": "a: {cmd: run, params: [lr, runs.x.deep, numbers.one]}",
    "a value in a command": "a: {cmd: 'run ${lr} ${flag} ${none} ${runs.x.deep.m}'}",
    "a list's element": "a: {cmd: 'run ${names[1]} ${pairs[0].n} ${names.0}'}",
    "a value in deps and params": (
        "a: {cmd: run, deps: ['in/${names[0]}'], params: ['numbers.${runs.x.deep.m}']}"
    ),
    "a value in an output's name": "a: {cmd: run, outs: ['${key}/o': {cache: false}]}",
    "outputs not cached": (
        "a: {cmd: run, outs: [o: {cache: false}], metrics: [m.json: {cache: false}],"
        " plots: [p.csv: {cache: false, x: a, y: b}]}"
    ),
    "metrics and plots": "a: {cmd: run, metrics: [m.json], plots: [p.csv: {x: a}]}",
    "an output with notes": (
        "a: {cmd: run, outs: [o: {desc: d, type: t, labels: [l], meta: {k: v}}]}"
    ),
    "empty sections": "a: {cmd: run, deps: [], outs: [o], params: []}",
    "notes of a stage": "a: {cmd: run, desc: what it does, meta: {any: [thing]}}",
    "foreach of a list": (
        "a: {foreach: [p, q], do: {cmd: 'run ${item}', outs: ['${item}']}}"
    ),
    "foreach of numbers": "a: {foreach: [1, 2.5, true], do: {cmd: 'run ${item}'}}",
    "foreach of a list twice": "a: {foreach: [p, p, q], do: {cmd: 'run ${item}'}}",
    "foreach of a list of params": "a: {foreach: '${names}', do: {cmd: 'run ${item}'}}",
    "key of a list is params'": "a: {foreach: '${names}', do: {cmd: 'run ${key}'}}",
    "foreach of a mapping": (
        "a: {foreach: {k: {n: 1}, l: {n: 2}}, do: {cmd: 'run ${key} ${item.n}'}}"
    ),
    "foreach of params": (
        "a: {foreach: '${runs}', do: {cmd: 'run ${key} ${item.deep.m}',"
        " deps: ['in/${key}'], params: ['runs.${key}'], outs: ['out/${key}']}}"
    ),
    "foreach of plain values": (
        "a: {foreach: '${numbers}', do: {cmd: 'run ${key} ${item}'}}"
    ),
    "matrix": (
        "a: {matrix: {x: [1, 2], y: [p, q]}, cmd: 'run ${item.x} ${item.y} ${key}',"
        " outs: ['out/${item.x}-${item.y}']}"
    ),
    "matrix of params": "a: {matrix: {x: '${names}', y: [true]}, cmd: 'run ${key}'}",
    "a folder of params with a slash": (
        "a: {cmd: run, deps: ['in/${numbers.one}', '${runs.x.deep.m}/${lr}']}"
    ),
    "a chain": (
        "a: {cmd: run, outs: [o]}\nb: {cmd: more, deps: [o], outs: [p]}\n"
        "c: {foreach: [1, 2], do: {cmd: run, deps: [p], outs: ['c${item}']}}"
    ),
}
REFUSED = {  # name: (stages, words of the error)
    "a list of commands": ("a: {cmd: [one, two]}", "a list as `cmd`"),
    "wdir": ("a: {cmd: run, wdir: sub}", "`wdir` is not supported"),
    "vars of a stage": ("a: {cmd: run, vars: [other.yaml]}", "`vars` is not supported"),
    "frozen": ("a: {cmd: run, frozen: true}", "`frozen` is not supported"),
    "always changed": ("a: {cmd: run, always_changed: true}", "`always_changed` is"),
    "a list of mappings": (
        "a: {foreach: '${pairs}', do: {cmd: 'run ${item.n}'}}",
        "a list of mappings or lists in `foreach`",
    ),
    "a list of lists": ("a: {foreach: [[1], [2]], do: {cmd: run}}", "in `foreach`"),
    "a matrix of mappings": (
        "a: {matrix: {x: '${pairs}'}, cmd: 'run ${item.x.n}'}",
        "a list of mappings or lists in `matrix.x`",
    ),
    "a mapping in a command": ("a: {cmd: '${numbers}'}", "a dict as `cmd`"),
    "a mapping within a command": ("a: {cmd: 'run ${numbers}'}", "{'one': 1, 'two'"),
    "params of another file": (
        "a: {cmd: run, params: [other.yaml: [k]]}",
        "params of other files than params.yaml",
    ),
    "params of another format": (
        "a: {cmd: run, params: [other.toml: null]}",
        "params of other files than params.yaml",
    ),
    "an output that stays": ("a: {cmd: r, outs: [o: {persist: true}]}", "`persist` of"),
    "an output not pushed": ("a: {cmd: run, outs: [o: {push: false}]}", "`push` of o"),
    "an output's own remote": ("a: {cmd: r, outs: [o: {remote: r}]}", "`remote` of o"),
    "a metric not pushed": ("a: {cmd: r, metrics: [m: {push: false}]}", "`push` of m"),
    "two outputs in one entry": ("a: {cmd: r, outs: [{o: {}, p: {}}]}", "several"),
    "a dataset": ("a: {cmd: run, deps: ['ds://cats']}", "ds://cats in `deps`"),
    "a remote input": ("a: {cmd: run, deps: ['https://b/k']}", "https://b/k in `deps`"),
    "a path with a dot": ("a: {cmd: run, deps: [./in.txt]}", "write in.txt"),
    "a folder with a slash": ("a: {cmd: run, outs: [out/]}", "write out"),
    "an escape": ("a: {cmd: 'run \\${HOME}'}", "an escaped"),
    "blanks in an expression": ("a: {cmd: 'run ${ lr }'}", "`${ lr }` is not"),
}  # fmt: skip
FILES = {  # name: (dvc.yaml, words)
    "vars in place": ("vars: [{k: 1}]\nstages: {a: {cmd: r}}", "values in place"),
    "some keys of a file": ("vars: ['other.yaml:k']\nstages: {a: {cmd: r}}", ".yaml:k"),
    "vars of another format": ("vars: [o.json]\nstages: {a: {cmd: r}}", "vars: o.json"),
    "datasets": (
        "datasets: [{name: cats, type: url, url: 's3://b/k'}]\nstages: {a: {cmd: r}}",
        "`datasets` is not supported",
    ),
}  # fmt: skip
NEITHER = {  # what DVC refuses, too: name: (stages, words)
    "params that are no list": ("a: {cmd: run, params: lr}", "`params` is no list"),
    "deps that are no list": ("a: {cmd: run, deps: in.txt}", "`deps` is no list"),
    "a matrix that is no mapping": ("a: {matrix: [1], cmd: run}", "`matrix` is not a"),
    "a stage that is no mapping": ("a: run", "it is not a mapping"),
    "an unknown key": ("a: {cmd: run, command: x}", "`command` is not supported"),
    "no command": ("a: {outs: [o]}", "a stage without `cmd`"),
    "do without foreach": ("a: {do: {cmd: run}}", "`foreach` and `do` go together"),
    "a key that is not there": ("a: {cmd: 'run ${nothing}'}", "lacks: nothing"),
    "a mapping within a path": ("a: {cmd: r, deps: ['${runs}/x']}", "put into text"),
    "a mapping as a path": ("a: {cmd: r, deps: ['${runs}']}", "a dict in `deps`"),
    "several plots of a file": (
        "a: {cmd: r, plots: [p: [{x: a}]]}",
        "says of p is not",
    ),
    "foreach of one value": ("a: {foreach: '${lr}', do: {cmd: r}}", "no list and no"),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC repository with params.yaml, other.yaml and no dvc.yaml."""
    root = tmp_path_factory.mktemp("dialect")
    Repo.init(str(root), no_scm=True).close()
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    (root / "other.yaml").write_text("k: 1\n")
    (root / "other.toml").write_text("k = 1\n")
    (root / "o.json").write_text('{"k": 1}\n')
    return root


def of_dvc(root: Path) -> Iterator[tuple]:
    """(name, command, deps, params, {output: cached}) of DVC's stages."""
    with Repo(str(root)) as repo:
        for stage in repo.index.stages:
            params = [d for d in stage.deps if isinstance(d, ParamsDependency)]
            yield (
                stage.name,
                stage.cmd,
                [d.def_path for d in stage.deps if d not in params],
                sorted(key for d in params for key in d.params),
                {out.def_path: out.use_cache for out in stage.outs},
            )


def of_runledger(root: Path) -> Iterator[tuple]:
    """The same of what is read here."""
    for one in read_dvc(root).instances.values():
        outs = {out.path: out.cached for out in one.outs}
        yield one.name, one.cmd, list(one.deps), sorted(one.params), outs


def write(root: Path, stages: str) -> None:
    (root / "dvc.yaml").write_text("stages:\n" + indent(stages, "  ") + "\n")


@pytest.mark.parametrize("case", ALIKE)
def test_a_file_means_the_same_to_both(repository: Path, case: str) -> None:
    write(repository, ALIKE[case])
    assert sorted(of_runledger(repository)) == sorted(of_dvc(repository))


def test_vars_of_files_mean_the_same_to_both(repository: Path) -> None:
    text = "vars: [other.yaml, params.yaml]\nstages: {a: {cmd: 'run ${k} ${lr}'}}"
    (repository / "dvc.yaml").write_text(text)
    assert list(of_runledger(repository)) == list(of_dvc(repository))
    assert next(of_runledger(repository))[1] == "run 1 0.1"


def test_what_is_only_shown_is_no_stage(repository: Path) -> None:
    shown = "metrics: [m.json]\nparams: [other.yaml]\nplots: [p.csv]\n"
    text = shown + "artifacts: {m: {path: o}}\nstages: {a: {cmd: r, outs: [o]}}"
    (repository / "dvc.yaml").write_text(text)
    assert list(of_runledger(repository)) == list(of_dvc(repository))


@pytest.mark.parametrize("case", [*REFUSED, *FILES])
def test_what_only_dvc_knows_is_refused_by_name(repository: Path, case: str) -> None:
    if case in FILES:
        text, words = FILES[case]
        (repository / "dvc.yaml").write_text(text)
    else:
        text, words = REFUSED[case]
        write(repository, text)
    list(of_dvc(repository))
    with pytest.raises(UserError) as caught:
        read_dvc(repository)
    assert words in str(caught.value) and "what to do" in str(caught.value)


@pytest.mark.parametrize("case", NEITHER)
def test_what_dvc_refuses_is_refused_here(repository: Path, case: str) -> None:
    text, words = NEITHER[case]
    write(repository, text)
    with pytest.raises((DvcException, ValueError)):
        list(of_dvc(repository))
    with pytest.raises(UserError) as caught:
        read_dvc(repository)
    assert words in str(caught.value)


def test_a_key_in_two_files_is_refused_as_dvc_does(repository: Path) -> None:
    (repository / "more.yaml").write_text("lr: 0.2\n")
    (repository / "dvc.yaml").write_text("vars: [more.yaml]\nstages: {a: {cmd: r}}")
    with pytest.raises(DvcException):
        list(of_dvc(repository))
    with pytest.raises(UserError, match=r"lr is in more\.yaml"):
        read_dvc(repository)
