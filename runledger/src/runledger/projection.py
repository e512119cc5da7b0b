"""dvc.yaml as the Snakefile's rules say it: the complete projection, for DVC.

A rule whose inputs and params are patterns becomes one ``foreach`` stage, over the
identities of its instances, {x} of the pattern being ${item.x}. One whose inputs are a
list of their own becomes a plain stage an instance. Nobody edits the file: a run, and
``runledger plan``, write it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from runledger.canonical import read_text, write_atomic
from runledger.errors import UserError
from runledger.pipeline import CODE_STAGE, Instance, Pipeline
from runledger.stages import METRIC, Stage
from runledger.watching import WATCH, body_of

HEAD = """\
# Made from the rules of the Snakefile and params.yaml, by every run and by
# `python -m runledger plan`: edit those. A stage depends on results/code/<stage>.json,
# the fingerprint of the code it runs, and not on source files, so that no changed
# comment reruns anything. Params under `meta: uncounted` are read and do not count:
# where data lie (what lies there counts, by content), a mirror's address.
stages:
"""
WATCHED_HEAD = """\
# Made from the rules of the Snakefile and its config, by every run and by
# `python -m runledger plan`: edit those. `--recipe` is the digest of the params, the
# command and the code of an instance. `runledger_plan` is outdated if a file changed
# from which this one was made.
"""
HEADS = (HEAD.partition("\n")[0], WATCHED_HEAD.partition("\n")[0])
_WILDCARD = re.compile(r"\{(\w+)\}")
_STAGE_LINE = re.compile(r"  ([^\s:#]+):")
_INSTANCE_LINE = re.compile(r"      (?:- )?([^\s:]+)")  # of a foreach


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _dump(value: Any, indent: int) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000)
    return "".join(f"{' ' * indent}{line}\n" for line in text.splitlines())


def _pattern(text: str, stage: Stage) -> str:
    """Spell a pattern of wildcards for DVC."""
    if stage.name == CODE_STAGE:
        return _WILDCARD.sub("${item}", text)
    parts = text.split(stage.id)
    return "${key}".join(_WILDCARD.sub(r"${item.\1}", part) for part in parts)


def _body(
    stage: Stage,
    cmd: str,
    deps: Iterable[str],
    counted: Iterable[str],
    uncounted: Iterable[str],
    outs: Iterable[tuple[str, str]],
) -> dict[str, Any]:
    """Lay out an entry of dvc.yaml: of a stage, or of one instance."""
    body: dict[str, Any] = {"cmd": cmd, "deps": list(deps), "params": list(counted)}
    body["meta"] = {"uncounted": list(uncounted)} if uncounted else {}
    body |= {"outs": [], "metrics": []}
    for path, flag in outs:
        kind = "metrics" if flag == METRIC else "outs"
        body[kind].append({path: {"cache": False}} if flag else path)
    return {key: value for key, value in body.items() if value}


def _foreach(stage: Stage, instances: list[Instance]) -> Iterator[str]:
    yield f"  {stage.name}:\n    foreach:\n"
    if stage.name == CODE_STAGE:
        yield from (f"      - {instance.id}\n" for instance in instances)
    else:
        for each in instances:
            fields = json.dumps(dict(each.item), ensure_ascii=False)
            yield f"      {each.id}: {fields}\n"
    first = instances[0]
    deps = (
        first.deps
        if stage.name == CODE_STAGE
        else [first.deps[0], *(_pattern(p, stage) for p in _texts(stage))]
    )
    body = _body(
        stage,
        f"{first.cmd.removesuffix(first.id)}{_pattern(stage.id, stage)}",
        deps,
        [_pattern(key, stage) for key in stage.counted],
        [_pattern(key, stage) for key in stage.uncounted],
        [(_pattern(path, stage), flag) for path, flag in stage.outputs],
    )
    yield "    do:\n" + _dump(body, 6)


def _texts(stage: Stage) -> Iterator[str]:
    for value in stage.inputs.values():
        yield from [value] if isinstance(value, str) else value


def dvc_yaml_of(pipeline: Pipeline) -> str:
    """Return the text of dvc.yaml."""
    if pipeline.watched:
        return WATCHED_HEAD + _dump(body_of(pipeline), 0)
    found: dict[str, list[Instance]] = {name: [] for name in pipeline.stages}
    for instance in pipeline.instances.values():
        found[instance.stage].append(instance)
    parts = [HEAD]
    for name, instances in found.items():
        stage = pipeline.stages[name]
        instances.sort(key=lambda each: each.id)
        if instances and stage.id and not stage.listed:
            parts += _foreach(stage, instances)
            continue
        for each in instances:
            outs = zip(
                (out.path for out in each.outs),
                (flag for _, flag in stage.outputs),
                strict=True,
            )
            body = _body(
                stage,
                each.cmd,
                pipeline.raw_deps[each.name],
                each.params,
                each.uncounted,
                outs,
            )
            parts.append(_dump({each.name: body}, 2))
    plots = {
        k: v for s in found for k, v in _plots(pipeline.stages[s], found[s]).items()
    }
    if plots:
        parts.append(
            _dump({"plots": [{name: plot} for name, plot in plots.items()]}, 0)
        )
    return "".join(parts)


def _plots(stage: Stage, instances: list[Instance]) -> dict[str, Any]:
    """Return {title: plot}: a column of all instances that share some fields."""
    found: dict[str, Any] = {}
    for curves in stage.curves:
        for column in curves.y:
            for each in instances:
                shared = ", ".join(f"{field} {each.item[field]}" for field in curves.by)
                title = f"{column} of {stage.name}: {shared}"
                plot = found.setdefault(title, {"x": curves.x, "y": {}})
                path = curves.path.format_map(each.item)
                plot["y"][path] = column
    return found


def drifted(root: Path, pipeline: Pipeline) -> str | None:
    """Return the text that dvc.yaml should have; None if it has it."""
    text = dvc_yaml_of(pipeline)
    path = Path(root) / "dvc.yaml"
    return None if path.is_file() and read_text(path) == text else text


def renew(root: Path, pipeline: Pipeline) -> str:
    """Write dvc.yaml if it is not what rules and params say.

    Returns:
        One line saying what became of it; "" if it was current, or written by hand.

    Raises:
        UserError: dvc.yaml cannot be written.
    """
    text = drifted(root, pipeline) if pipeline.stages or pipeline.watched else None
    if text is None:
        return ""
    path = Path(root) / "dvc.yaml"
    before = _names(path) - {WATCH}
    try:
        write_atomic(path, text)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}", str(path), "make it writable"
        ) from None
    now = set(pipeline.instances)
    new, gone = len(now - before), len(before - now)
    return f"dvc.yaml renewed: {new} instances new, {gone} gone, {len(now)} in all"


def _names(path: Path) -> set[str]:
    """Return the instances of the dvc.yaml that is there, by its lines as written."""
    found, stage, inside = set(), "", False
    for line in read_text(path).splitlines() if path.is_file() else []:
        if match := _STAGE_LINE.fullmatch(line):
            stage = match[1]
            found.add(stage)
        elif line.startswith("    ") and line[4] != " ":
            inside = line == "    foreach:"
            found -= {stage} if inside else set()
        elif inside and (match := _INSTANCE_LINE.match(line)):
            found.add(f"{stage}@{match[1]}")
    return found
