"""The audit of a really run workspace: silent if untouched, loud if tampered with."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from paper_workspace import Workspace
from tampering import (
    CELL,
    METRICS,
    OTHER,
    SAMPLES,
    STUDENT,
    TEACHER,
    Forger,
    private_copy,
    resting_on,
    sidecars,
)

from dash_repro.audit import kept
from dash_repro.audit.__main__ import main
from dash_repro.audit.account import account
from dash_repro.audit.audit import Audit, run_audit
from dash_repro.audit.remeasured import Real, Samples
from runledger.errors import UserError
from runledger.pipeline import split_name

pytestmark = [pytest.mark.slow]


@pytest.fixture
def forger(tiny: Workspace, tmp_path: Path) -> Forger:
    return Forger(private_copy(tiny.root, tmp_path / "forged"))


@pytest.fixture(scope="module", autouse=True)
def what_equal_files_give_is_computed_once() -> Iterator[None]:
    """Two thirds of an audit's time here; what a forgery changes is computed anew."""
    known: dict[str, Any] = {}
    reals: dict[tuple[int, int], Real] = {}
    compute = Samples.metrics

    def digests(arrays: Iterable[tuple[str, Any]]) -> list[list[str]]:
        return [
            [name, hashlib.md5(np.asarray(array).tobytes()).hexdigest()]
            for name, array in arrays
        ]

    @cache
    def of_real(real: Real) -> list[list[str]]:
        return digests(vars(real).items())

    def real_images(path: Path) -> Real:
        """A copy's file is a link to the run's unless a forgery replaced it."""
        file = path.stat()
        same = file.st_ino, file.st_mtime_ns
        if same not in reals:
            reals[same] = Real(path)
        return reals[same]

    def metrics(samples: Samples, every: bool) -> Any:
        arrays = [*digests(samples.kept.items()), *of_real(samples.real)]
        key = json.dumps([every, samples.settings, arrays], sort_keys=True)
        if key not in known:
            known[key] = compute(samples, every)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Samples, "metrics", metrics)
        patch.setattr(kept, "real_images", real_images)
        yield


@pytest.fixture(scope="module")
def untouched(tiny: Workspace) -> Audit:
    return run_audit(tiny.root)


def test_nothing_is_found_in_an_untouched_workspace(untouched: Audit) -> None:
    assert {f.kind for f in untouched.findings} <= {"mixed runs"}
    assert untouched.to_dict()["measured"] > 300
    assert set(untouched.statuses) == set()


def metric_of(record: dict) -> dict:
    path = f"results/{METRICS}/metrics.json"
    return record["outputs"][path]


def like(forge: Callable) -> Any:
    """A forgery of a kind of which another one is in every run of the tests."""
    return pytest.param(forge, marks=pytest.mark.long)


# -- the forgeries: each returns (kind, subject, files whose cells must be tainted)


def byte_in_a_student(f: Forger) -> tuple:
    path = f"results/{STUDENT}/model.safetensors"
    f.flip(path)
    return "wrong bytes", path, [path]


def byte_in_a_teacher(f: Forger) -> tuple:
    path = f"results/{TEACHER}/model.safetensors"
    f.flip(path)
    return "wrong bytes", path, [path]


def curriculum_exchanged(f: Forger) -> tuple:
    path = "results/export_tirt/digits-tirt-s42/tirt.safetensors"
    other = f.root / "results/export_tirt/digits-tirt-s123/tirt.safetensors"
    f.write(path, other.read_bytes())
    return "wrong bytes", path, [path]


def data_exchanged(f: Forger) -> tuple:
    path = "results/prepare_data/digits/images.npz"
    f.flip(path)
    return "wrong bytes", path, [path]


def metric_edited(f: Forger) -> tuple:
    path = f"results/{METRICS}/metrics.json"
    f.json(path, lambda m: m["metrics"]["frechet"].update(value=1.5))
    return "wrong bytes", path, [path]


def metrics_of_two_seeds_exchanged(f: Forger) -> tuple:
    one, two = (f"results/{name}/metrics.json" for name in (METRICS, OTHER))
    first, second = ((f.root / path).read_bytes() for path in (one, two))
    f.write(one, second)
    f.write(two, first)
    return "wrong bytes", two, [one, two]


def metric_and_record_edited(f: Forger) -> tuple:
    path = f"results/{METRICS}/metrics.json"
    f.json(path, lambda m: m["metrics"]["frechet"].update(value=1.5))
    text = (f.root / path).read_text()
    record = f.record_path(METRICS)
    f.json(record, lambda r: metric_of(r).update(inline=text))
    return "edited record", record, [path]


def metric_and_record_resealed(f: Forger) -> tuple:
    from runledger.store import md5_text

    path = f"results/{METRICS}/metrics.json"
    f.json(path, lambda m: m["metrics"]["frechet"].update(value=1.5))
    text = (f.root / path).read_text()
    new = {"inline": text, "md5": md5_text(text), "size": len(text)}
    f.reseal(METRICS, lambda r: metric_of(r).update(new))
    return "foreign input", "collect_results-table3", [path]


def record_edited(f: Forger) -> tuple:
    path = f.record_path(STUDENT)
    f.json(path, lambda r: r["run"].update(device="NVIDIA P100"))
    return "edited record", path, [f"results/{STUDENT}/model.safetensors"]


def record_of_a_run_resealed(f: Forger) -> tuple:
    f.reseal(STUDENT, lambda r: r["run"].update(device="NVIDIA P100"))
    path = f.record_path(STUDENT)
    return "record not git's", path, [f"results/{STUDENT}/model.safetensors"]


def record_of_another_seed(f: Forger) -> tuple:
    path = f.record_path(STUDENT)
    other = f.record_path("train_student/digits-dash-w4-s123")
    f.write(path, (f.root / other).read_bytes())
    return "misplaced record", path, [f"results/{STUDENT}/model.safetensors"]


def record_broken(f: Forger) -> tuple:
    path = f.record_path(METRICS)
    f.write(path, (f.root / path).read_text()[:300])
    return "broken record", path, [f"results/{METRICS}/metrics.json"]


def input_of_another_student(f: Forger) -> tuple:
    """Right output, right key and seal; but sampled from another student."""
    other = json.loads(
        (f.root / f.record_path("train_student/digits-scratch-w4-s42")).read_text()
    )
    wrong = other["outputs"][
        "results/train_student/digits-scratch-w4-s42/model.safetensors"
    ]["md5"]
    name = f"results/{STUDENT}/model.safetensors"
    f.reseal(SAMPLES, lambda r: r["inputs"].update({name: wrong}), rekey=True)
    found = "generate_samples@digits-dash-w4-s42-cfg4.0-k4-n0"
    return "foreign input", found, [f"results/{SAMPLES}/samples.npz"]


def samples_cut_short(f: Forger) -> tuple:
    path = f"results/{SAMPLES}/samples.npz"
    f.write(path, (f.root / path).read_bytes()[:-100])
    return "wrong bytes", path, [path]


def features_exchanged(f: Forger) -> tuple:
    """Those of another seed, and the record made to agree: only the metrics do not."""
    from runledger.store import md5_file

    path = f"results/{METRICS}/features.npz"
    f.write(path, (f.root / f"results/{OTHER}/features.npz").read_bytes())
    f.reseal(METRICS, lambda r: r["outputs"][path].update(md5=md5_file(f.root / path)))
    return "not what is kept", path, [f"results/{METRICS}/metrics.json"]


def pairs_damaged(f: Forger) -> tuple:
    path = (
        f"results/{STUDENT.replace('train_student', 'measure_calibration')}/pairs.npz"
    )
    f.flip(path)
    return "wrong bytes", path, [path.replace("pairs.npz", "calibration.json")]


def samples_removed_and_cache_damaged(f: Forger) -> tuple:
    path = f"results/{SAMPLES}/samples.npz"
    record = json.loads((f.root / f.record_path(SAMPLES)).read_text())
    md5 = record["outputs"][path]["md5"]
    (f.root / path).unlink()
    f.flip(f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}")
    return "wrong bytes", path, [path]


def a_seed_removed(f: Forger) -> tuple:
    """The run of one seed vanishes, results and record."""
    shutil.rmtree(f.root / "results" / METRICS)
    shutil.rmtree(f.root / "results" / "records" / METRICS)
    name = "compute_metrics@digits-dash-w4-s42-cfg4.0-k4-n0"
    return "missing run", name, [f"results/{METRICS}/metrics.json"]


def a_seed_not_planned(f: Forger) -> tuple:
    """A bad seed is struck from the plan; its run still exists."""
    f.replace("params.yaml", "seeds: [42, 123]", "seeds: [42]", count=9)
    return "dropped run", "train_student@digits-dash-w4-s123", []


def params_changed_after_the_run(f: Forger) -> tuple:
    f.replace("params.yaml", "gamma: 5.0", "gamma: 4.0")
    return (
        "stale",
        "train_teacher@digits-tirt-s42",
        [f"results/{TEACHER}/model.safetensors"],
    )


def code_changed_after_the_run(f: Forger) -> tuple:
    path = "src/dash_repro/evaluation/sample_metrics/frechet.py"
    f.write(path, (f.root / path).read_text() + "\nEXTRA = 1\n")
    name = "compute_metrics@digits-dash-w4-s42-cfg4.0-k4-n0"
    return "stale", name, [f"results/{METRICS}/metrics.json"]


def unknown_commit(f: Forger) -> tuple:
    f.reseal(STUDENT, lambda r: r["run"].update(commit="ab" * 20))
    return "unknown commit", "ab" * 20, [f"results/{STUDENT}/model.safetensors"]


def commit_with_other_params(f: Forger) -> tuple:
    root = subprocess.run(
        ["git", "rev-list", "--max-parents=0", "HEAD"],
        cwd=f.root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[0]
    f.reseal(STUDENT, lambda r: r["run"].update(commit=root))
    name = "train_student@digits-dash-w4-s42"
    return "not the commit's", name, [f"results/{STUDENT}/model.safetensors"]


def adopted_in_silence(f: Forger) -> tuple:
    f.reseal(STUDENT, lambda r: r.update(adopted={"reason": " "}))
    name = "train_student@digits-dash-w4-s42"
    return "silent adoption", name, [f"results/{STUDENT}/model.safetensors"]


def lock_edited(f: Forger) -> tuple:
    record = json.loads((f.root / f.record_path(STUDENT)).read_text())
    path = f"results/{STUDENT}/model.safetensors"
    f.replace("dvc.lock", record["outputs"][path]["md5"], "0" * 32, count=99)
    return "dvc.lock", "train_student@digits-dash-w4-s42", [path]


def lock_entry_removed(f: Forger) -> tuple:
    text = (f.root / "dvc.lock").read_text()
    name = "compute_metrics@digits-dash-w4-s42-cfg4.0-k4-n0"
    cut = re.sub(rf"(?m)^  {re.escape(name)}:\n(    .*\n)+", "", text)
    assert cut != text
    f.write("dvc.lock", cut)
    return "dvc.lock", name, [f"results/{METRICS}/metrics.json"]


def collected_rows_edited(f: Forger) -> tuple:
    path = "results/collect_results/table3.csv"
    f.replace(path, "scratch", "dash")
    return "wrong bytes", path, []


def figure_exchanged(f: Forger) -> tuple:
    path = "results/figures/figure4c.png"
    f.write(path, (f.root / "results/figures/figure4a.png").read_bytes())
    return "wrong bytes", path, []


def papers_table_edited(f: Forger) -> tuple:
    f.replace("paper/tables/table3_main.csv", "8.87", "9.87")
    return "stale", "make_table-table3", []


def papers_table_edited_before_the_run(f: Forger) -> tuple:
    from runledger.store import md5_file

    path = "paper/tables/table3_main.csv"
    f.replace(path, "8.87", "9.87")
    new = {path: md5_file(f.root / path)}
    f.reseal("make_table/table3", lambda r: r["inputs"].update(new), rekey=True)
    return "not the commit's", "make_table-table3", []


BYTES = [
    byte_in_a_student,
    like(byte_in_a_teacher),
    like(curriculum_exchanged),
    like(data_exchanged),
    like(metric_edited),
    metrics_of_two_seeds_exchanged,
    metric_and_record_edited,
    metric_and_record_resealed,
    like(record_edited),
    record_of_a_run_resealed,
    record_of_another_seed,
    record_broken,
    input_of_another_student,
    like(samples_cut_short),
    features_exchanged,
    pairs_damaged,
    samples_removed_and_cache_damaged,
    a_seed_removed,
    a_seed_not_planned,
    params_changed_after_the_run,
    code_changed_after_the_run,
    unknown_commit,
    commit_with_other_params,
    adopted_in_silence,
    lock_edited,
    lock_entry_removed,
    collected_rows_edited,
    figure_exchanged,
    papers_table_edited,
    papers_table_edited_before_the_run,
]


@pytest.mark.parametrize("forge", BYTES, ids=lambda forge: forge.__name__)
def test_a_forged_run_is_found_and_named(
    tiny: Workspace, forger: Forger, forge: Callable[[Forger], tuple]
) -> None:
    before = sidecars(forger.root)
    kind, subject, files = forge(forger)
    wanted = resting_on(tiny.root, *files) if files else set()
    audit = run_audit(forger.root)
    named = [f for f in audit.objections if (f.kind, f.subject) == (kind, subject)]
    listed = [(f.kind, f.subject) for f in audit.objections]
    assert named, f"no {kind} of {subject} among {listed[:20]}"
    if files:
        tainted = {c for f in audit.objections for c in f.cells}
        measured = {
            c for c in named[0].cells if before.get(c, {}).get("kind") == "measured"
        }
        assert wanted, "the test must expect some cells"
        missing = wanted - tainted
        assert not missing, sorted(missing)[:10]
        single = len({f.subject for f in named}) == 1 and len(files) == 1
        if single and kind == "wrong bytes":
            assert measured == wanted
        assert audit.status(sorted(wanted)[0]) == "objection"


# -- forgeries of what is printed


def tex_cell(f: Forger) -> str:
    cell = sidecars(f.root)[CELL]["displayed"]
    f.replace("results/tables/table3.tex", cell, "1.23")
    return "edited .tex"


def tex_and_sidecar_cell(f: Forger) -> str:
    f.print_otherwise(CELL, "1.23")
    return "wrong number"


def cut_instead_of_rounded(f: Forger) -> str:
    from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

    for address, cell in sidecars(f.root).items():
        if not address.startswith("table3/") or not address.endswith("_fd"):
            continue
        numbers = [Decimal(v["number"]) for v in cell["values"]]
        mean = sum(numbers) / len(numbers)
        cut = mean.quantize(Decimal("0.01"), ROUND_DOWN)
        if cut != mean.quantize(Decimal("0.01"), ROUND_HALF_UP):
            cut_instead_of_rounded.cell = address
            f.print_otherwise(address, f"{cut}")
            return "wrong number"
    raise AssertionError("no cell of the tiny run is rounded up")


def number_hidden_by_a_dash(f: Forger) -> str:
    f.print_otherwise(CELL, "–", "dash")
    return "hidden number"


def number_typed(f: Forger) -> str:
    f.print_otherwise(CELL, "1.23", "param")
    return "typed number"


def one_seed_left_out(f: Forger) -> str:
    def change(content: dict) -> None:
        cell = content["cells"][CELL]
        cell["values"] = cell["values"][:1]

    f.json("results/tables/table3.json", change)
    return "missing seed"


def another_students_number(f: Forger) -> str:
    def change(content: dict) -> None:
        cells = content["cells"]
        cells[CELL]["values"] = cells["table3/scratch/digits_fd"]["values"]

    f.json("results/tables/table3.json", change)
    return "foreign run"


def raw_value_edited(f: Forger) -> str:
    def change(content: dict) -> None:
        content["cells"][CELL]["values"][0]["number"] = "1.25"

    f.json("results/tables/table3.json", change)
    return "wrong raw value"


def interval_narrowed(f: Forger) -> str:
    def change(content: dict) -> None:
        cell = content["cells"][CELL]
        low, high = map(float, cell["interval"])
        assert high - low > 4
        cell["interval"] = [f"{low + 2:.0f}", f"{high - 2:.0f}"]

    f.json("results/tables/table3.json", change)
    return "wrong interval"


def error_of_a_raw_value_edited(f: Forger) -> str:
    def change(content: dict) -> None:
        content["cells"][CELL]["values"][0]["error"] = "0.25"

    f.json("results/tables/table3.json", change)
    return "wrong raw value"


def seed_counted_twice(f: Forger) -> str:
    def change(content: dict) -> None:
        values = content["cells"][CELL]["values"]
        values.append(dict(values[0]))

    f.json("results/tables/table3.json", change)
    return "seed counted twice"


def papers_value_edited(f: Forger) -> str:
    def change(content: dict) -> None:
        cell = content["cells"]["table3/dash/params_m"]
        assert cell["paper"]
        cell["paper"] = "9.9"

    f.json("results/tables/table3.json", change)
    papers_value_edited.cell = "table3/dash/params_m"
    return "wrong paper value"


def a_verdict_edited(f: Forger) -> str:
    address = "claims/un_share/ours_verdict"
    old = sidecars(f.root)[address]["displayed"]
    new = "holds" if old != "holds" else "fails"

    def change(content: dict) -> None:
        content["cells"][address]["displayed"] = new

    f.json("results/tables/claims.json", change)
    a_verdict_edited.cell = address
    return "not reproduced"


def bound_edited(f: Forger) -> str:
    bound_edited.cell = "table3/bound_real/digits_fd"
    f.print_otherwise(bound_edited.cell, "1.23")
    return "wrong number"


def subset_of_a_bound_left_out(f: Forger) -> str:
    def change(content: dict) -> None:
        cell = content["cells"]["table3/bound_real/digits_fd"]
        cell["values"] = cell["values"][1:]

    f.json("results/tables/table3.json", change)
    subset_of_a_bound_left_out.cell = "table3/bound_real/digits_fd"
    return "missing seed"


def mark_of_a_bad_student_removed_or_given(f: Forger) -> str:
    """A dagger too few or too many, in .tex and sidecar alike."""
    old = sidecars(f.root)[CELL]
    text = old["displayed"] + old["mark"]
    new = {"displayed": old["displayed"], "mark": "" if old["mark"] else "‡"}

    def change(content: dict) -> None:
        content["cells"][CELL] |= new
        for line in content["lines"]:
            for entry in line["entries"]:
                if entry["cells"] == [CELL]:
                    entry["text"] = new["displayed"] + new["mark"]

    f.json("results/tables/table3.json", change)
    tex = text.replace("‡", r"$\ddagger$")
    f.replace(
        "results/tables/table3.tex",
        f"{{{CELL}}}{{{tex}}}",
        f"{{{CELL}}}{{{new['displayed']}{new['mark']}}}".replace("‡", r"$\ddagger$"),
    )
    return "wrong mark"


PRINTED = [
    bound_edited,
    subset_of_a_bound_left_out,
    mark_of_a_bad_student_removed_or_given,
    like(tex_cell),
    tex_and_sidecar_cell,
    cut_instead_of_rounded,
    number_hidden_by_a_dash,
    number_typed,
    one_seed_left_out,
    another_students_number,
    raw_value_edited,
    interval_narrowed,
    error_of_a_raw_value_edited,
    seed_counted_twice,
    papers_value_edited,
    a_verdict_edited,
]


@pytest.mark.parametrize("forge", PRINTED, ids=lambda forge: forge.__name__)
def test_a_forged_print_is_found_and_named(
    forger: Forger, forge: Callable[[Forger], str]
) -> None:
    """Even when the table's record was made to agree with the forgery."""
    from runledger.store import md5_text

    kind = forge(forger)
    address = getattr(forge, "cell", CELL)
    item = address.partition("/")[0]

    def agree(record: dict) -> None:
        for path, out in record["outputs"].items():
            text = (forger.root / path).read_text()
            new = {"inline": text, "md5": md5_text(text)}
            out.update(new, size=len(text.encode()))

    forger.reseal(f"make_table/{item}", agree)
    audit = run_audit(forger.root)
    found = {(f.kind, address in f.cells) for f in audit.objections}
    assert (kind, True) in found, sorted((f.kind, f.subject) for f in audit.objections)
    assert audit.status(address) == "objection"


def test_a_number_changed_in_the_tex_alone_is_found(forger: Forger) -> None:
    tex_cell(forger)
    audit = run_audit(forger.root)
    assert {f.kind for f in audit.objections} == {
        "edited .tex",
        "wrong bytes",
        "not reproduced",
    }
    (found,) = [f for f in audit.objections if f.kind == "edited .tex"]
    assert found.cells == (CELL,)
    assert "prints '1.23" in found.detail


def test_a_heading_that_says_fid_is_found(forger: Forger) -> None:
    forger.replace("results/tables/table3.tex", "FD-EffNetLite0", "FID", count=9)
    forger.replace("results/tables/table3.json", "FD-EffNetLite0", "FID", count=9)
    kinds = {f.kind for f in run_audit(forger.root).objections if CELL in f.cells}
    assert {"wrong name", "wrong bytes", "not reproduced"} <= kinds


def test_a_number_typed_into_the_paper_is_found(forger: Forger) -> None:
    forger.replace("paper/main.tex", r"\maketitle", "\\maketitle\nIt reaches 8.87.")
    (found,) = [
        f for f in run_audit(forger.root).objections if f.kind == "typed number"
    ]
    assert "8.87" in found.detail
    assert found.subject.startswith("paper/main.tex:")


def test_adoption_with_a_reason_is_said_and_not_held_against(forger: Forger) -> None:
    from runledger.adoption import adopt
    from runledger.dvclock import settle

    path = "src/dash_repro/evaluation/pairs.py"
    forger.write(path, (forger.root / path).read_text() + "\nEXTRA = 1\n")
    names = ["rank_pairs-digits", "rank_pairs-glyphs"]
    for name in names:
        adopt(forger.root, name, "a constant nobody reads")
    settle(forger.root)
    audit = run_audit(forger.root)
    said = [f for f in audit.findings if f.kind == "adopted"]
    assert [f.subject for f in said] == names
    assert "figureD6" in said[0].cells
    assert "a constant nobody reads" in said[0].detail
    assert "pairs.py" in said[0].detail
    assert audit.objections == []


def test_a_clone_without_data_is_audited_and_says_what_it_could_not(
    tiny: Workspace, untouched: Audit, tmp_path: Path
) -> None:
    tiny.git("clone", "-q", str(tiny.root), str(tmp_path / "clone"))
    audit = run_audit(tmp_path / "clone")
    assert audit.objections == []
    kinds = {f.kind for f in audit.findings}
    assert {"bytes absent", "collected rows"} <= kinds
    same = ("measured", "cells", "tables", "instances")
    assert {k: audit.to_dict()[k] for k in same} == {
        k: untouched.to_dict()[k] for k in same
    }
    stages = {f.subject for f in audit.findings if f.kind == "bytes absent"}
    assert {"train_student", "generate_samples", "plot_figure"} <= stages
    forged = Forger(tmp_path / "clone")
    forged.print_otherwise(CELL, "1.23")
    assert "wrong number" in {f.kind for f in run_audit(forged.root).objections}


def test_absent_bytes_are_looked_up_on_the_remote(
    tiny: Workspace, tmp_path: Path
) -> None:
    from runledger.sharing import push

    source = Workspace(private_copy(tiny.root, tmp_path / "source"))
    dvc = [str(Path(shutil.which("dvc", path=_path()) or "dvc"))]
    source.run(*dvc, "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    source.git("add", ".dvc/config")
    source.git("commit", "-q", "-m", "remote")
    push(source.root)
    source.git("clone", "-q", str(source.root), str(tmp_path / "clone"))
    audit = run_audit(tmp_path / "clone")
    assert audit.objections == []
    assert "bytes absent" not in {f.kind for f in audit.findings}
    states = {item.state for item in audit.evidence.chain.bytes.values()}
    assert states == {"ok", "remote"}
    path = f"results/{STUDENT}/model.safetensors"
    md5 = audit.evidence.chain.bytes[path].expected.md5
    (tmp_path / "remote" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    again = run_audit(tmp_path / "clone")
    (lost,) = [f for f in again.findings if f.kind == "bytes absent"]
    assert lost.instances == ("train_student@digits-dash-w4-s42",)
    assert CELL in lost.cells


def _path() -> str:
    import sys

    return str(Path(sys.executable).parent)


def test_the_account_of_a_number_is_whole(untouched: Audit) -> None:
    known = account(untouched, CELL)
    assert known["recomputed"] == known["displayed"]
    assert [v["seed"] for v in known["values"]] == ["123", "42"]
    stages = [run["run"].partition("@")[0].partition("-")[0] for run in known["runs"]]
    needed = ["prepare_data", "train_teacher", "export_tirt", "train_student"]
    needed += ["generate_samples", "compute_metrics", "collect_results", "make_table"]
    assert [stage for stage in dict.fromkeys(stages) if stage in needed] == needed
    for run in known["runs"]:
        assert run["verdict"] == "valid"
        assert {i["state"][:3] for i in run["inputs"]} <= {"as ", "a f"}
        assert {o["bytes"] for o in run["outputs"]} == {"bytes read and equal"}
        assert {o["lock"] for o in run["outputs"]} == {"dvc.lock equal"}
        assert re.fullmatch("[0-9a-f]{40}", run["commit"])
    assert "not comparable" not in known["paper"]
    assert "not the paper's scale" in known["paper"]["reasons"]
    assert "snakemake" in known["regenerate"]["command"]


def test_an_unknown_cell_names_its_neighbours(
    untouched: Audit, tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="table3/dash/digits_fd"):
        account(untouched, "table3/dash/nothing")
    nothing = AssertionError("something was checked before")
    monkeypatch.setattr("dash_repro.audit.audit.audit_chain", Mock(side_effect=nothing))
    with pytest.raises(UserError, match="table3/dash/digits_fd"):
        run_audit(tiny.root, cell="table3/dash/nothing")


def test_the_command_that_makes_a_number_again_plans_just_that(
    untouched: Audit, tiny: Workspace
) -> None:
    known = account(untouched, CELL)
    runs = {run["run"] for run in known["runs"]}
    command = known["regenerate"]["command"].replace("../again", "../again-test")
    command = command.replace("snakemake ", f"{_path()}/snakemake -n ")
    try:
        out = tiny.run("env", "VERBOSE=1", "bash", "-c", command)
    finally:
        tiny.git("worktree", "remove", "--force", "../again-test")
    table = out.split("Job stats:")[-1].split("total")[0].splitlines()[3:]
    counts = {line.split()[0]: int(line.split()[1]) for line in table if line.strip()}
    counts.pop("fingerprint_code", None)
    planned = {}
    for name in runs:
        stage = split_name(name)[0]
        if stage not in ("collect_results", "make_table"):
            planned[stage] = planned.get(stage, 0) + 1
    assert counts == planned


def test_the_command_line(
    forger: Forger, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited = cache(run_audit)
    monkeypatch.setattr("dash_repro.audit.audit.run_audit", audited)
    monkeypatch.chdir(forger.root)
    assert main([]) == 0
    assert "nothing to object to" in capsys.readouterr().out
    assert main(["--cell", CELL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == CELL
    assert main(["--cell", "table3/nobody/x"]) == 2
    audited.cache_clear()
    forger.flip(f"results/{STUDENT}/model.safetensors")
    assert main([]) == 1
    out = capsys.readouterr().out
    assert "OBJECTION: wrong bytes (1)" in out
    assert f"results/{STUDENT}/model.safetensors: md5" in out
    assert "table3/dash/" in out
    assert main(["--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert CELL in findings[0]["cells"]
    assert main(["--cell", CELL]) == 1
    assert "bytes WRONG" in capsys.readouterr().out
