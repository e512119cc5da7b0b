"""Tables: every cell the right number, dashes where due, none empty, TeX that runs."""

import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import zlib
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import make_table
import numpy as np
import pytest
from paper_fixtures import ROOT, Workspace, small_params, table_job

from dash_repro.audit import exact
from dash_repro.paper.items import ITEMS
from dash_repro.paper.markup import to_html, to_tex
from dash_repro.paper.rows import read_rows, write_rows
from dash_repro.paper.verdicts import VERDICTS

TABLES = [item for item, spec in ITEMS.items() if spec.kind == "table"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("tables"), small_params())


def raw(workspace, stage, instance, *keys):
    """A number straight from a result file."""
    folder = workspace.root / stage / instance
    content = json.loads(next(folder.glob("*.json")).read_text())
    for key in keys:
        content = content[key]
    return content


def rounded(number, decimals):
    step = Decimal(1).scaleb(-decimals)
    return str(Decimal(repr(number)).quantize(step, ROUND_HALF_UP))


def again(cell):
    """The digits by the audit's own arithmetic, from the values in the cell."""
    roles = [
        [
            (value["seed"], value["sampling_seed"], value["number"])
            for value in cell["values"]
            if value["role"] == role
        ]
        for role in ("", "second")
    ]
    rule = (cell["decimals"], cell["ddof"], cell["exponent"])
    return exact.printed(cell["statistic"], *roles, *rule)


def test_own_data_shows_nothing_of_the_paper(tmp_path):
    """No value of the paper in any cell, no stamp, and its metric's own name."""
    params = small_params("own")
    names = {"cifar10": "pets", "cifar100": "cars"}
    data = params["prepare_data"]
    params["prepare_data"] = {new: data[old] for old, new in names.items()}
    for name, block in params["experiments"].items():
        if name != "sampling":
            block["datasets"] = [names[old] for old in block["datasets"]]
    own = Workspace(tmp_path, params)
    tables = [i for i in own.pipeline.instances.values() if i.stage == "make_table"]
    items = {table.item["item"] for table in tables}
    paper = {"table1", "claims", "tableA1", "tableA2", "tableS1", "tableS2", "tableS5"}
    assert paper == {*TABLES} - items
    for item in items:
        sidecar = own.table(item)
        assert [c for c in sidecar["cells"].values() if c["paper"]] == []
        assert len(sidecar["lines"]) > 1
        words = sidecar["caption"] + " ".join(sidecar["notes"])
        assert not re.search(r"[Dd]emo|paper", words), words


@pytest.mark.parametrize("item", TABLES)
def test_no_cell_is_empty_and_the_audit_agrees(workspace, item):
    sidecar = workspace.table(item)
    assert sidecar["cells"] and "Demo" in sidecar["caption"] + "Demo" * (
        item == "table1"
    )
    for line in sidecar["lines"]:
        assert len(line["entries"]) in (0, len(sidecar["header"]) - 1)
        for entry in line["entries"]:
            cells = [sidecar["cells"][address] for address in entry["cells"]]
            shown = [cell["displayed"] + cell["mark"] for cell in cells]
            joined = entry["joiner"].join(shown)
            assert entry["text"] == joined and joined.strip()
    for address, cell in sidecar["cells"].items():
        assert address == cell["address"] and address.startswith(f"{item}/")
        if cell["kind"] == "measured":
            assert again(cell) == cell["displayed"], address
            assert cell["values"] and all(v["instance"] for v in cell["values"])
        elif cell["kind"] == "dash":
            assert cell["displayed"] == "–" and cell["note"], address


def test_table3_is_the_mean_of_the_files(workspace):
    cells = workspace.table("table3")["cells"]
    for dataset in ("cifar10", "cifar100"):
        for model in ("dash", "fitnets", "scratch"):
            numbers = [
                raw(
                    workspace,
                    "compute_metrics",
                    f"{dataset}-{model}-w64-s{seed}-cfg4.0-k50-n0",
                    *("metrics", "frechet", "value"),
                )
                for seed in (42, 123)
            ]
            cell = cells[f"table3/{model}/{dataset}_fd"]
            mean = rounded(statistics.mean(numbers), cell["decimals"])
            assert cell["displayed"] == mean
            assert cell["name"] == "fd_effnetlite0" and cell["n"] == "10000"
            assert {v["seed"] for v in cell["values"]} == {"42", "123"}
    assert cells["table3/dash/cifar10_fd"]["paper"] == "8.87"
    assert cells["table3/dash/params_m"]["displayed"] == "6.08"  # demo: two digits


def test_teacher_is_sampled_with_tag_and_table2_tells_samplers_apart(workspace):
    table2, table3 = (
        workspace.table("table2")["cells"],
        workspace.table("table3")["cells"],
    )
    teacher = table3["table3/teacher/cifar10_fd"]
    instances = sorted(value["instance"] for value in teacher["values"])
    assert instances == [
        "cifar10-teacher_tirt-s123-tag4.0-k50-n0",
        "cifar10-teacher_tirt-s42-tag4.0-k50-n0",
    ]
    samplers = {
        row: {
            v["instance"].split("-", 3)[3]
            for v in table2[f"table2/{row}/cifar10_is"]["values"]
        }
        for row in ("min_snr", "fixed_cfg", "tag_only", "tirt_only", "full")
    }
    assert samplers == {
        "min_snr": {"cfg1.5-k50-n0"},
        "fixed_cfg": {"cfg4.0-k50-n0"},
        "tag_only": {"tag4.0-k50-n0"},
        "tirt_only": {"cfg1.5-k50-n0"},
        "full": {"tag4.0-k50-n0"},
    }


def test_literature_is_as_printed_and_marked(workspace, tmp_path):
    text = workspace.data("table2").read_text()
    renamed = tmp_path / "table2.csv"
    renamed.write_text(
        text.replace("fd_effnetlite0", "FID").replace("is_effnet", "IS_")
    )
    renamed.write_text(renamed.read_text().replace("IS_lite0", "IS"))
    job = table_job(tmp_path, workspace.params, "table2", renamed)
    make_table.run(job)
    sidecar = json.loads((job.out / "table2.json").read_text())
    assert sidecar["cells"]["table2/ddpm/cifar10_fd"]["displayed"] == "3.17"
    assert sidecar["cells"]["table2/iddpm/cifar10_fd"]["displayed"] == "2.90"
    assert sidecar["cells"]["table2/edm/cifar100_is"]["kind"] == "literature"
    labels = {line["id"]: line["label"] for line in sidecar["lines"]}
    assert labels["ddpm"].endswith("†") and not labels["full"].endswith("†")
    assert any("not verified" in note for note in sidecar["notes"])
    assert labels["edm"].endswith("§")
    assert any("1.97 for unconditional" in note for note in sidecar["notes"])


def test_literature_does_not_stand_in_a_column_of_another_metric(workspace):
    cells = workspace.table("table2")["cells"]
    for name in ("ddpm", "iddpm", "edm"):
        cell = cells[f"table2/{name}/cifar10_fd"]
        assert cell["displayed"] == "–" and "not this column's metric" in cell["note"]


def test_dashes_are_where_the_paper_has_them(workspace):
    cells = workspace.table("table3")["cells"]
    dashes = {address for address, cell in cells.items() if cell["kind"] == "dash"}
    scratch = {
        f"table3/scratch/{dataset}_{column}"
        for dataset in ("cifar10", "cifar100")
        for column in ("rho", "cos", "gap_mse")
    }
    collapsed = {f"table3/cond_only/{d}_cos" for d in ("cifar10", "cifar100")}
    dashes = {address for address in dashes if "/bound_" not in address}
    assert dashes == scratch | collapsed  # cond_only's rho is 0.05 in the fixtures
    assert cells["table3/cond_only/cifar10_rho"]["displayed"] == "0.05"
    c6 = workspace.table("tableC6")["cells"]
    assert c6["tableC6/scratch_48/cifar10_rho"]["displayed"] == "–"
    assert c6["tableC6/dash_48/cifar10_rho"]["displayed"] != "–"


def test_columns_are_named_for_the_metric(workspace):
    for item in ("table2", "table3", "table4", "tableB3", "tableC6"):
        sidecar = workspace.table(item)
        heads = " ".join(sidecar["header"])
        assert "FD-EffNetLite0" in heads and "FID" not in heads
        notes = " ".join(sidecar["notes"])
        assert "stand-in" in notes
    assert "KID-EffNetLite0" in " ".join(workspace.table("tableB3")["header"])


QUALITY = {  # item: a column of each, and its dataset
    "table2": ("cifar100_fd", "cifar100"),
    "table3": ("cifar100_fd", "cifar100"),
    "table4": ("cifar100_is", "cifar100"),
    "tableB3": ("cifar100_kid", "cifar100"),
    "tableB4": ("cifar100_fd", "cifar100"),
    "tableC5": ("fd_10", "cifar100"),
    "tableC6": ("cifar100_fd", "cifar100"),
    "tableC7": ("w4.0", "cifar10"),
    "anchor": ("cifar10_fd", "cifar10"),
}


@pytest.mark.parametrize("item", QUALITY)
def test_every_quality_table_is_bounded_by_real_constant_and_noise(workspace, item):
    sidecar, (column, dataset) = workspace.table(item), QUALITY[item]
    metric = {"kid": "kid", "is": "inception_score"}.get(column[9:], "frechet")
    prefix = f"{dataset}_" if item == "tableC5" else ""
    for bound, count in (("real", 3), ("constant", 1), ("noise", 1)):
        cell = sidecar["cells"][f"{item}/{prefix}bound_{bound}/{column}"]
        sets = raw(workspace, "extract_reference", dataset, "bounds", bound, "sets")
        numbers = [one[metric]["value"] for one in sets]
        assert len(numbers) == len(cell["values"]) == count
        unit = 1000 if metric == "kid" else 1
        assert cell["displayed"] == rounded(unit * statistics.mean(numbers), 2)
        assert {v["instance"] for v in cell["values"]} == {dataset}
        assert cell["n"] == "10000" and cell["mark"] == ""
    note = next(note for note in sidecar["notes"] if note.startswith("Bounds:"))
    assert "3 random subsets of 10000" in note and "(10000 each)" in note


def test_what_is_farther_than_the_constant_image_is_marked(workspace):
    sidecar = workspace.table("table3")
    students = [m for m in workspace.params["experiments"]["table3"]["students"]]
    texts = {e["cells"][0]: e["text"] for x in sidecar["lines"] for e in x["entries"]}
    for model in students:  # 9 and more, against 100 and 5.5
        cells = [f"table3/{model}/{d}_fd" for d in ("cifar10", "cifar100")]
        assert [sidecar["cells"][cell]["mark"] for cell in cells] == ["", "‡"]
        assert texts[cells[1]] == sidecar["cells"][cells[1]]["displayed"] + "‡"
        assert sidecar["cells"][f"table3/{model}/cifar100_is"]["mark"] == ""
    cells = workspace.table("tableB3")["cells"]
    assert cells["tableB3/dash/cifar100_kid"]["mark"] == "‡"
    assert cells["tableB3/dash/cifar100_kid_std"]["mark"] == ""
    assert cells["tableB3/bound_noise/cifar100_fd"]["mark"] == ""
    gaps = workspace.table("tableC5")["cells"]
    assert gaps["tableC5/cifar100_gap/fd_50"]["mark"] == ""
    assert gaps["tableC5/cifar100_dash/fd_50"]["mark"] == "‡"


def test_gap_mse_keeps_its_digits_in_a_smaller_unit(workspace):
    sidecar = workspace.table("table3")
    cell = sidecar["cells"]["table3/dash/cifar10_gap_mse"]
    numbers = [
        raw(workspace, "measure_calibration", f"cifar10-dash-w64-s{seed}", "gap_mse")
        for seed in (42, 123)
    ]
    assert float(cell["displayed"]) == pytest.approx(
        1e3 * statistics.mean(numbers), abs=5e-4
    )
    assert cell["unit"] == "10^-3" and "10^{−3}" in sidecar["header"][-1]


def test_gap_mse_unit_is_not_that_of_the_row_without_a_number(workspace, tmp_path):
    rows = [
        replace(row, value="1e-09")
        if (row.model, row.metric) == ("scratch", "gap_mse")
        else row
        for row in read_rows(workspace.data("table3")).rows
    ]
    write_rows(tmp_path / "table3.csv", rows)
    job = table_job(tmp_path, workspace.params, "table3", tmp_path / "table3.csv")
    make_table.run(job)
    sidecar = json.loads((job.out / "table3.json").read_text())
    assert "10^{−3}" in sidecar["header"][-1]


def test_few_samples_have_no_score_and_kid_first(workspace, tmp_path):
    rows = read_rows(workspace.data("table3")).rows
    few = [replace(row, n="9999") if row.n == "10000" else row for row in rows]
    write_rows(tmp_path / "table3.csv", few)
    job = table_job(tmp_path, workspace.params, "table3", tmp_path / "table3.csv")
    make_table.run(job)
    sidecar = json.loads((job.out / "table3.json").read_text())
    names = ["KID-EffNetLite0", "FD-EffNetLite0", "IS-EffNetLite0"]
    assert [head.split()[0] for head in sidecar["header"][3:6]] == names
    for address in ("table3/dash/cifar10_is", "table3/bound_real/cifar10_is"):
        cell = sidecar["cells"][address]
        assert cell["displayed"] == "–" and "10000 are needed" in cell["note"]
    assert sidecar["cells"]["table3/dash/cifar10_fd"]["kind"] == "measured"
    assert any("Below 10,000 samples" in note for note in sidecar["notes"])
    many = workspace.table("table3")
    assert not any("KID" in text for text in [*many["header"], *many["notes"]])
    assert many["cells"]["table3/dash/cifar10_is"]["displayed"] == "8.50"


@pytest.mark.parametrize("seeds", [[42, 123], [42]])
def test_spreads_over_trainings_and_samplings_are_printed_apart(tmp_path, seeds):
    params = small_params()
    params["experiments"]["sampling"]["sampling_seeds"] = [0, 1]
    for name in ("table3", "tableC6"):
        params["experiments"][name]["seeds"] = seeds
    table = Workspace(tmp_path, params).table("tableB3")
    address = "tableB3/dash/cifar10_fd"
    values = table["cells"][address]["values"]
    numbers = {(v["seed"], v["sampling_seed"]): float(v["number"]) for v in values}
    assert len(numbers) == 2 * len(seeds)
    grid = np.array([[numbers[f"{i}", f"{j}"] for j in (0, 1)] for i in seeds])
    shown = []
    for axis, name in enumerate(("std", "sampling_std")):
        cell = table["cells"][f"{address}_{name}"]
        if grid.shape[axis] > 1:
            pooled = np.sqrt(grid.var(axis=axis, ddof=1).mean())
            assert cell["displayed"] == rounded(float(pooled), cell["decimals"])
            shown.append(cell["displayed"])
        else:
            assert cell["note"] == "a single value has no spread"
    (line,) = (line for line in table["lines"] if line["id"] == "dash")
    assert line["entries"][0]["text"].split(" ± ")[1:] == shown
    trainings = "over training seeds, with the same noise" in table["caption"]
    assert trainings == (len(seeds) > 1)
    assert "over sampling seeds, of the same weights" in table["caption"]


def test_spreads_use_ddof_of_params_and_one_seed_has_none(workspace, tmp_path):
    cells = workspace.table("tableB3")["cells"]
    numbers = [float(v["number"]) for v in cells["tableB3/dash/cifar10_fd"]["values"]]
    shown = cells["tableB3/dash/cifar10_fd_std"]
    wanted = rounded(statistics.stdev(numbers), shown["decimals"])
    assert shown["displayed"] == wanted
    params = small_params()
    params["experiments"]["table3"]["seeds"] = [42]
    params["experiments"]["tableC6"]["seeds"] = [42]
    one = Workspace(tmp_path, params).table("tableB3")
    assert one["cells"]["tableB3/dash/cifar10_fd_std"]["displayed"] == "–"
    (row,) = [line for line in one["lines"] if line["id"] == "dash"]
    assert not any("±" in entry["text"] for entry in row["entries"])
    assert "so no spread is known" in one["caption"]
    assert one["cells"]["tableB3/dash/cifar10_fd"]["displayed"] != "–"


def test_gap_rows_subtract_unrounded_means(workspace):
    cells = workspace.table("tableC5")["cells"]
    sampled = {
        who: raw(
            workspace, "compute_metrics", instance, *("metrics", "frechet", "value")
        )
        for who, instance in (
            ("teacher", "cifar100-teacher_tirt-s42-tag4.0-k10-n0"),
            ("dash", "cifar100-dash-w64-s42-cfg4.0-k10-n0"),
        )
    }
    gap = Decimal(repr(sampled["dash"])) - Decimal(repr(sampled["teacher"]))
    expected = str(gap.quantize(Decimal("0.01"), ROUND_HALF_UP))
    assert cells["tableC5/cifar100_gap/fd_10"]["displayed"] == expected
    assert cells["tableC5/cifar100_dash/fd_10"]["paper"] == "12.68"


def test_guidance_table_sweeps_w_and_w_max(workspace):
    cells = workspace.table("tableC7")["cells"]
    student = cells["tableC7/dash/w1.5"]["values"][0]["instance"]
    teacher = cells["tableC7/teacher/w1.5"]["values"][0]["instance"]
    assert "cfg1.5" in student and "tag1.5" in teacher
    assert cells["tableC7/dash/w4.5"]["paper"] == "9.23"


def test_ablation_ticks_follow_the_params(workspace):
    lines = {line["id"]: line for line in workspace.table("table4")["lines"]}
    ticks = {
        row: "".join(entry["text"] for entry in line["entries"][:3])
        for row, line in lines.items()
    }
    assert ticks["no_un"] == "✓✗✓" and ticks["scratch"] == "✗✗✗"
    assert ticks["dash"] == ticks["tirt_learned"] == "✓✓✓" and ticks["no_an"] == "✓✓✗"


def test_hyperparameters_of_the_committed_params_are_the_papers(workspace):
    """With the committed params.yaml, Table A1's two columns tell the same."""
    cells = workspace.table("tableA1")["cells"]
    same = ("base_channels", "blocks", "attention", "learning_rate", "batch_ema")
    for row in (*same, "dropout", "lambda_branches", "lambda_an", "gamma", "tag"):
        for who in ("teacher", "student"):
            ours = cells[f"tableA1/{row}/{who}"]["displayed"]
            assert ours == cells[f"tableA1/{row}/paper_{who}"]["displayed"], (row, who)
    assert cells["tableA1/hardware/teacher"]["displayed"] == "GPU X"


def test_claims_are_judged_on_this_run_too(workspace):
    sidecar = workspace.table("claims")
    cells = sidecar["cells"]
    verdicts = {a: c["displayed"] for a, c in cells.items() if a.endswith("_verdict")}
    assert set(verdicts.values()) == set(VERDICTS)
    ours = [v for a, v in verdicts.items() if a.endswith("/ours_verdict")]
    assert f"{ours.count('holds')} holds, {ours.count('fails')}" in sidecar["caption"]
    # FID points cannot be read off a stand-in
    assert verdicts["claims/teacher_gap/ours_verdict"] == "not testable"
    assert "levels" in cells["claims/teacher_gap/ours_verdict"]["note"]
    # fixtures: no_un decays from 0.961 to 0.61 (rho = 1 - 0.013 step) at every seed
    assert verdicts["claims/no_un_decays/ours_verdict"] == "holds"
    shown = cells["claims/no_un_decays/ours_values"]["displayed"]
    assert re.findall(r"(?:start|end) ([0-9.]+)", shown) == ["0.96", "0.61"]
    table3 = workspace.table("table3")["cells"]
    means = [
        statistics.mean(
            float(v["number"]) for v in table3[f"table3/{m}/cifar10_fd"]["values"]
        )
        for m in ("scratch", "dash")
    ]
    shown = cells["claims/over_scratch/ours_values"]["displayed"]
    first = re.match(r"gain \(CIFAR-10\) (-?[0-9.]+) \[", shown).group(1)
    assert float(first) == pytest.approx(means[0] - means[1], abs=0.0051)


def test_markup_escapes_and_sets_scripts():
    assert to_tex("50 % & a_b") == r"50 \% \& a\_b"
    assert to_tex("L_{un} ±") == r"$L_{\mathrm{un}}$ $\pm$"
    assert to_tex("×10^{−3}") == r"$\times$$10^{-3}$"
    assert to_html("L_{un} <b>") == "L<sub>un</sub> &lt;b&gt;"


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("latexmk") is None and "CI" not in os.environ,
    reason="LaTeX is not installed",
)
def test_every_table_compiles(workspace, tmp_path):
    from dash_repro.paper.pdf import build_pdf, load_contents

    for item in TABLES:
        workspace.table(item)
    tables = sorted((workspace.root / "tables").glob("*.tex"))
    assert {path.stem for path in tables} == set(TABLES)
    contents = load_contents(ROOT / "paper" / "contents.yaml")
    main = ROOT / "paper" / "main.tex"
    pdf = tmp_path / "main.pdf"
    build_pdf(main, contents, tables, [], pdf, about="Audited at noon: all is well.")
    links = b"".join(uncompressed(pdf))
    for address in ("table3/dash/cifar10_fd", "tableB3/dash/cifar100_fd_std"):
        assert f"(report.html#cell={address})".encode() in links
    if shutil.which("pdftotext") is None:
        return
    command = ["pdftotext", "-bbox", str(pdf), "-"]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    words = re.findall(r'yMin="([\d.]+)" .*?yMax="([\d.]+)">([^<]*)<', run.stdout)
    numbers = [w for w in words if re.fullmatch(r"\d+\.\d+", w[2])]
    heights = [float(low) - float(high) for high, low, _ in numbers]
    assert len(heights) > 500 and min(heights) >= 7.0  # points
    text = [word for *_, word in words]
    assert text.count("Bounds:") < 4 and text.count("noon:") == 1
    assert text.count("under") > 4  # where the others stand


def uncompressed(pdf):
    for stream in re.findall(
        rb"stream\r?\n(.*?)endstream", pdf.read_bytes(), re.DOTALL
    ):
        with contextlib.suppress(zlib.error):
            yield zlib.decompress(stream)


@pytest.mark.parametrize("item", ["table2", "table3", "tableC6"])
def test_the_best_of_each_column_is_bold(workspace, item):
    """By the printed digits, of the students where there are any."""
    sidecar, cells = workspace.table(item), workspace.table(item)["cells"]
    best = {a for line in sidecar["lines"] for e in line["entries"] for a in e["best"]}
    columns = {}
    for address, cell in cells.items():
        _, row, column = address.split("/")
        teacher = item != "table2" and row.startswith("teacher")
        if cell["kind"] == "measured" and not row.startswith("bound") and not teacher:
            columns.setdefault(column, {})[address] = float(cell["displayed"])
    rules = {"fd": min, "mse": min, "is": max, "cos": max}
    wanted = set()
    for column, values in columns.items():
        ending = column.split("_")[-1]
        if ending == "rho":
            values = {address: -abs(value - 1) for address, value in values.items()}
        elif ending not in rules:  # parameters, compression
            continue
        top = rules.get(ending, max)(values.values())
        wanted |= {a for a, v in values.items() if v == top and len(values) > 1}
    assert best == wanted and len(best) >= 4
    tex = (workspace.root / "tables" / f"{item}.tex").read_text(encoding="utf-8")
    assert tex.count("\\textbf{") == len(best) + 1  # and the caption's label


def test_each_row_of_table_2_is_of_its_own_teacher_and_guidance(workspace):
    cells = workspace.table("table2")["cells"]
    expected = {
        "min_snr": ("teacher_min_snr", "cfg1.5"),
        "fixed_cfg": ("teacher_min_snr", "cfg4.0"),
        "tag_only": ("teacher_min_snr", "tag4.0"),
        "tirt_only": ("teacher_tirt", "cfg1.5"),
        "full": ("teacher_tirt", "tag4.0"),
    }
    for row, (teacher, sampler) in expected.items():
        values = cells[f"table2/{row}/cifar10_fd"]["values"]
        for value in values:
            _, model, _, sampled, *_ = value["instance"].split("-")
            assert (model, sampled) == (teacher, sampler), row
        assert len(values) == 2
