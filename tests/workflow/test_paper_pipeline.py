"""The whole paper in the smallest workspace: real snakemake, real dvc, real stages."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
import yaml
from paper_workspace import BIN, ROOT, Workspace

from dash_repro.paper.items import ITEMS
from runledger.project import load_pipeline

pytestmark = [pytest.mark.slow]
STUDENT = "digits-dash-w4-s42"
CFG = "cfg4.0-k4-n0"


@pytest.fixture(autouse=True)
def _restored(tiny: Workspace):
    yield
    tiny.restore()


def params_of(tiny: Workspace) -> dict:
    return yaml.safe_load((tiny.root / "params.yaml").read_text())


def by_stage(names: set[str]) -> dict[str, int]:
    return dict(Counter(re.split("[@-]", name)[0] for name in names))


def test_everything_is_made(tiny: Workspace) -> None:
    results = tiny.root / "results"
    experiments = yaml.safe_load((tiny.root / "params.yaml").read_text())["experiments"]
    for item, spec in ITEMS.items():
        if not spec.experiments <= experiments.keys():
            continue
        if spec.kind == "table":
            names = [f"tables/{item}.tex", f"tables/{item}.json"]
        else:
            names = [f"figures/{item}.{suffix}" for suffix in ("pdf", "png", "json")]
        for name in names:
            assert (results / name).stat().st_size > 100, name
    assert (results / "paper" / "main.pdf").read_bytes().startswith(b"%PDF")


def test_no_cell_is_empty_and_demo_is_said(tiny: Workspace) -> None:
    for path in sorted((tiny.root / "results" / "tables").glob("*.json")):
        for cell in json.loads(path.read_text())["cells"].values():
            assert cell["displayed"].strip(), (path.name, cell)
        text = path.with_suffix(".tex").read_text()
        assert "& &" not in text.replace("&  &", "& &"), path.name
        if path.stem not in ("table1", "tableA1", "tableA2", "claims"):
            assert "demo" in text.lower(), path.name


def test_nothing_left_to_do(tiny: Workspace) -> None:
    assert tiny.plan() == {}
    assert tiny.stale() == set()


def test_dvc_agrees(tiny: Workspace) -> None:
    assert "up to date" in tiny.run(str(BIN / "dvc"), "status")
    out = tiny.run(str(BIN / "dvc"), "repro")
    assert "Running stage" not in out


def sampled(tiny: Workspace, test) -> set[str]:
    """Samples that satisfy a test on their identity, with their metrics."""
    return {
        each.name
        for each in load_pipeline(tiny.root).instances.values()
        if each.stage in ("generate_samples", "compute_metrics") and test(each.item)
    }


def below(tiny: Workspace, names: set[str]) -> set[str]:
    """Add everything downstream of some instances."""
    pipeline, found = load_pipeline(tiny.root), set(names)
    for instance in pipeline.instances.values():  # producers come first
        if found & {pipeline.producer.get(dep) for dep in instance.deps}:
            found.add(instance.name)
    return found


def stage(tiny: Workspace, *stages: str) -> set[str]:
    instances = load_pipeline(tiny.root).instances.values()
    return {i.name for i in instances if i.stage in stages}


EDITS = {
    "one student's lambda_an": (
        "students.no_un.lambda_an",
        0.2,
        lambda t: (
            below(t, {n for n in stage(t, "train_student") if "-no_un-" in n})
            | below(t, {f"collect_results-{i}" for i in ("table4", "claims")})
        ),
    ),
    "distillation iterations": (
        "train_student.iterations",
        5,
        lambda t: below(
            t,
            stage(t, "train_student")
            | {f"collect_results-{i}" for i in ("tableA1", "claims")},
        ),
    ),
    "teacher learning rate": (
        "train_teacher.learning_rate",
        0.002,
        lambda t: below(t, stage(t, "train_teacher") | {"collect_results-tableA1"}),
    ),
    "TIRT gamma": (
        "teachers.tirt.gamma",
        4.0,
        lambda t: (
            below(
                t,
                {n for n in stage(t, "train_teacher", "export_tirt") if "-tirt-" in n},
            )
            | below(t, {"collect_results-tableA1", "collect_results-figure4b"})
            | below(t, {"collect_results-figureS1", "collect_results-claims"})
        ),
    ),
    "one more guidance scale": (
        "experiments.tableC7.guidance_scales",
        [1.5, 3.0, 4.0],
        lambda t: (
            sampled(t, lambda item: item["scale"] == 3.0 and item["seed"] == 42)
            | below(t, {"collect_results-tableC7", "collect_results-claims"})
            | below(t, {"collect_results-figureS6"})
        ),
    ),
    "number of samples": (
        "generate_samples.num_samples",
        50,
        lambda t: below(
            t,
            stage(t, "generate_samples", "extract_reference")
            | {"collect_results-tableA2"},
        ),
    ),
    "number of calibration pairs": (
        "measure_calibration.pairs",
        48,
        lambda t: below(
            t, stage(t, "measure_calibration") | {"collect_results-tableA2"}
        ),
    ),
    "a figure's style": (
        "plot_figure.font_size",
        8,
        lambda t: below(t, stage(t, "plot_figure")),
    ),
    "decimals of the tables": (
        "make_table.decimals",
        3,
        lambda t: below(t, stage(t, "make_table")),
    ),
    "KID subsets": (
        "compute_metrics.kid_subsets",
        3,
        lambda t: below(t, stage(t, "compute_metrics", "extract_reference")),
    ),
    "IS splits": (
        "compute_metrics.is_splits",
        4,
        lambda t: below(t, stage(t, "compute_metrics", "extract_reference")),
    ),
    "images of one dataset": (
        "prepare_data.glyphs.max_test",
        200,
        lambda t: below(t, {"prepare_data-glyphs"}),
    ),
    "pairs ranked": (
        "rank_pairs.pool",
        12,
        lambda t: below(t, stage(t, "rank_pairs")),
    ),
    "dash's TAG beta, which it does not use at training": (
        "tag.beta",
        6.0,
        lambda t: (
            below(t, stage(t, "generate_samples"))
            | below(t, {f"collect_results-{i}" for i in with_param("tag")})
        ),
    ),
}


def with_param(key: str) -> list[str]:
    return [name for name, spec in ITEMS.items() if key in spec.params]


@pytest.mark.parametrize("name", EDITS)
def test_one_knob_reruns_exactly_what_depends_on_it(tiny: Workspace, name: str) -> None:
    dotted, value, expected = EDITS[name]
    tiny.edit_params(dotted, value)
    wanted = expected(tiny)
    assert wanted
    assert tiny.stale() == wanted
    assert tiny.plan() == by_stage(wanted), "snakemake plans what the records say"


SOURCES = {
    "a comment in unet.py": (
        "src/dash_repro/models/unet.py",
        "\nclass UNet(",
        "\n# x\nclass UNet(",
        (),
    ),
    "a docstring of the sampler": (
        "src/dash_repro/diffusion/ddim.py",
        '"""Guided DDIM sampling',
        '"""Deterministic guided DDIM sampling',
        (),
    ),
    "logic of calibration": (
        "src/dash_repro/evaluation/calibration.py",
        "\nfrom __future__ import annotations\n",
        "\nfrom __future__ import annotations\n\nCHANGED = 1\n",
        ("measure_calibration",),
    ),
    "logic of the sampler": (
        "src/dash_repro/diffusion/ddim.py",
        "\nfrom __future__ import annotations\n",
        "\nfrom __future__ import annotations\n\nCHANGED = 1\n",
        ("generate_samples", "distill_steps"),
    ),
    "logic of the Frechet distance": (
        "src/dash_repro/evaluation/sample_metrics/frechet.py",
        "\nfrom __future__ import annotations\n",
        "\nfrom __future__ import annotations\n\nCHANGED = 1\n",
        ("compute_metrics", "extract_reference"),
    ),
    "logic of training teachers": (
        "src/dash_repro/training/teachers.py",
        "\nfrom __future__ import annotations\n",
        "\nfrom __future__ import annotations\n\nCHANGED = 1\n",
        ("train_teacher", "export_tirt"),
    ),
    "logic of training students": (
        "src/dash_repro/training/students.py",
        "\nfrom __future__ import annotations\n",
        "\nfrom __future__ import annotations\n\nCHANGED = 1\n",
        ("train_student",),
    ),
    "logic of the lineage layer": (
        "runledger/src/runledger/store.py",
        "\nfrom __future__ import annotations\n",
        "\nfrom __future__ import annotations\n\nCHANGED = 1\n",
        (),
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_one_source_edit_reruns_exactly_its_stages(tiny: Workspace, name: str) -> None:
    path, old, new, stages = SOURCES[name]
    tiny.edit(path, old, new)
    assert tiny.stale() == below(tiny, stage(tiny, *stages))


def test_key_order_means_nothing_and_swapped_values_do(tiny: Workspace) -> None:
    path = tiny.root / "params.yaml"
    params = params_of(tiny)
    path.write_text(yaml.safe_dump(params, sort_keys=True))
    assert tiny.stale() == set()
    students = params["students"]
    students["no_un"]["lambda_im"], students["no_un"]["lambda_un"] = 0.0, 1.0
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    assert {n for n in tiny.stale() if n.startswith("train_student")} == {
        n for n in stage(tiny, "train_student") if "-no_un-" in n
    }


def test_added_seed_and_added_student_leave_the_old_valid(tiny: Workspace) -> None:
    old = stage(tiny, "train_teacher", "train_student", "generate_samples")
    tiny.edit_params("experiments.table3.seeds", [42, 123, 456])
    stale = tiny.stale()
    assert not stale & old
    assert "train_student@digits-dash-w4-s456" in stale
    params = params_of(tiny)
    params["students"]["dash_small"] = {**params["students"]["dash"], "lambda_an": 0.3}
    params["experiments"]["table3"]["students"].append("dash_small")
    (tiny.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    stale = tiny.stale()
    assert not stale & old
    assert "train_student@digits-dash_small-w4-s123" in stale


def test_a_run_renews_what_dvc_reads(tiny: Workspace) -> None:
    """One more value in a sweep; a dry run only asks, and writes nothing."""
    before = (tiny.root / "dvc.yaml").read_text()
    tiny.edit_params("experiments.tableC7.guidance_scales", [1.5, 4.0, 2.5])
    new = {"digits-dash-w4-s42-cfg2.5-k4-n0", "digits-teacher_tirt-s42-tag2.5-k4-n0"}
    assert not any(id in before for id in new)
    tiny.snakemake("-n", "tableC7")
    tiny.run("python", "-m", "runledger", "status")
    assert (tiny.root / "dvc.yaml").read_text() == before
    out = tiny.snakemake("tableC7")
    (line,) = [line for line in out.splitlines() if "dvc.yaml renewed" in line]
    assert "4 instances new, 0 gone" in line
    made = [
        f"{stage}@{id}"
        for stage in ("generate_samples", "compute_metrics")
        for id in new
    ]
    assert "up to date" in tiny.run("dvc", "status", *made, "make_table-tableC7")


def test_reasons_are_said_in_the_dry_run(tiny: Workspace) -> None:
    tiny.edit_params("students.no_un.lambda_an", 0.25)
    out = tiny.snakemake("-n")
    assert "students.no_un.lambda_an: 0.1 -> 0.25" in out


def test_bad_params_are_one_clear_error(tiny: Workspace) -> None:
    tiny.edit_params("experiments.table3.datasets", ["digits", "glyph"])
    out = tiny.snakemake("-n", check=False)
    assert tiny.code == 1
    assert "'glyph' is not a block of prepare_data (did you mean 'glyphs'?)" in out
    assert "Traceback" not in out


def test_single_targets_plan_only_what_they_need(tiny: Workspace) -> None:
    tiny.edit_params("train_teacher.learning_rate", 0.002)
    tables = tiny.plan("table2")
    assert tables["make_table"] == 1
    assert "train_student" not in tables
    figure = tiny.plan("figure4c")
    assert figure["plot_figure"] == 1
    assert figure["train_student"] == 3 * 2
    assert "generate_samples" not in figure


@pytest.mark.long  # the toy shows the mechanism
def test_equal_bytes_of_a_retrained_teacher_stop_there(tiny: Workspace) -> None:
    """The code changes, the numbers do not: students are not trained again."""
    tiny.edit(
        "stages/train_teacher.py", "\n\ndef run(", "\n\nCHANGED = 1\n\n\ndef run("
    )
    stale = tiny.stale()
    assert stage(tiny, "train_teacher") <= stale
    before = set((tiny.root / "results/records/train_student").rglob("*.json"))
    tiny.snakemake("teachers")
    # hours and hardware of the new runs are news to Table A1, and to nothing else
    assert tiny.stale() == below(tiny, {"collect_results-tableA1"})
    assert set((tiny.root / "results/records/train_student").rglob("*.json")) == before


@pytest.mark.long  # the toy shows the mechanism
def test_dvc_repro_alone_makes_the_same_bytes(tiny: Workspace, tmp_path) -> None:
    from paper_workspace import TINY, make

    other = make(tmp_path / "other", TINY)
    target = f"compute_metrics@{STUDENT}-{CFG}"
    other.run(str(BIN / "dvc"), "repro", target)
    name = f"results/compute_metrics/{STUDENT}-{CFG}/metrics.json"
    assert (other.root / name).read_bytes() == (tiny.root / name).read_bytes()
    model = f"results/train_student/{STUDENT}/model.safetensors"
    assert (other.root / model).read_bytes() == (tiny.root / model).read_bytes()
    plan = other.plan(name)
    assert plan == {}, "what dvc made is valid for snakemake"


def test_dvc_plots_the_trainings(tiny: Workspace) -> None:
    shown = json.loads(tiny.run(str(BIN / "dvc"), "plots", "show", "--json"))
    title = "rho of train_student: dataset digits, width 4, seed 42"
    (plot,) = shown["data"][title]
    lines = {point["filename"] for point in plot["content"]["data"]["values"]}
    assert any("digits-dash-w4-s42" in name for name in lines) and len(lines) > 5
    assert "errors" not in shown


def test_dvc_and_snakemake_agree_on_every_instance(tiny: Workspace) -> None:
    """dvc.yaml as DVC reads it against the unpruned Snakemake DAG."""
    script = ROOT / "tests" / "workflow" / "agreement.py"
    found = json.loads(tiny.run(str(BIN / "python"), str(script)).splitlines()[-1])
    assert found["instances"] > 250
    assert found["only_dvc"] == []
    assert found["only_snakemake"] == []
    assert found["differ"] == []
