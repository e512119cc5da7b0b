"""Tables at the edges: missing and double numbers, other data, new students, order."""

from dataclasses import replace
from types import SimpleNamespace

import paper_results
import pytest
from paper_fixtures import (
    Workspace,
    demo_like,
    small_params,
    table_job,
)

from dash_repro.arrays import read_json, write_json
from dash_repro.paper.context import Context
from dash_repro.paper.items import ITEMS
from dash_repro.paper.rows import CollectedError, read_rows, write_rows
from dash_repro.paper.tables import TABLES as TABLES_BY_NAME

TABLES = [item for item, spec in ITEMS.items() if spec.kind == "table"]
FIGURES = [item for item, spec in ITEMS.items() if spec.kind == "figure"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("tables"), small_params())


def test_hours_are_medians_of_the_runs_shares(workspace):
    cells = workspace.table("tableA1")["cells"]
    # seeds 42, 123, 456 take 0.042, 0.123, 0.456 hours more than 24 and 16
    assert cells["tableA1/training_time/teacher"]["displayed"] == "24.1h / 24.1h"
    assert cells["tableA1/training_time/student"]["displayed"] == "16.1h / 16.1h"
    assert cells["tableA1/hardware/teacher"]["displayed"] == "GPU X"


def test_a_demo_with_other_data_fills_every_table(tmp_path):
    workspace = Workspace(tmp_path, demo_like())
    for item in TABLES:
        workspace.table(item)
    table2 = workspace.table("table2")["cells"]
    assert table2["table2/ddpm/digits_fd"]["displayed"] == "–"
    assert table2["table2/full/glyphs_fd"]["kind"] == "measured"
    claims = workspace.table("claims")["cells"]
    verdict = claims["claims/width_96/ours_verdict"]
    assert verdict["displayed"] == "not testable" and "dash_96" in verdict["note"]
    assert claims["claims/over_scratch/ours_values"]["displayed"] != "–"


def test_one_dataset_only_is_enough(tmp_path):
    params = demo_like()
    for name, block in params["experiments"].items():
        if name != "sampling":
            block["datasets"] = ["digits"]
    workspace = Workspace(tmp_path, params)
    for item in TABLES:
        workspace.table(item)
    cells = workspace.table("claims")["cells"]
    note = cells["claims/cross_dataset_ratio/ours_verdict"]["note"]
    assert "one dataset only" in note
    assert "(digits)" in cells["claims/over_scratch/ours_values"]["displayed"]


def test_gap_mse_unit_keeps_two_digits_of_the_smallest():
    from dash_repro.paper.columns import small_unit
    from dash_repro.paper.rows import Row

    def unit(*values):
        return small_unit([Row(value=repr(value)) for value in values], 3)

    assert unit(0.028, 0.292) == 0  # the paper's
    assert unit(0.5, 0.0003) == 3
    assert unit(0.0, 2e-6) == 6
    assert unit() == 0


@pytest.mark.parametrize(("largest", "power"), [(9.99, 3), (10.0, 0), (2500.0, 0)])
def test_kid_leaves_thousandths_where_it_is_large(largest, power):
    from dash_repro.paper.columns import heads_of, power_of, unit_text
    from dash_repro.paper.rows import Collected, Row

    rows = [
        Row(metric="kid", name="kid_toy", value=repr(v)) for v in (-0.01, 0.5, largest)
    ]
    rows += [Row(metric="precision", name="precision_toy", value="1000.0")]
    context = SimpleNamespace(collected=Collected(rows, "toy.csv"))
    assert power_of(context, "kid") == power
    assert ("10^{−3}" in heads_of(context, ["kid"])[0]) == (power == 3)
    assert unit_text(power_of(context, "precision")) == " %", "of whatever size"


def test_a_new_student_becomes_a_row(tmp_path):
    params = small_params()
    params["students"]["my_idea"] = dict(params["students"]["dash"], lambda_un=0.5)
    params["experiments"]["table3"]["students"].append("my_idea")
    sidecar = Workspace(tmp_path, params).table("table3")
    models = [line["id"] for line in sidecar["lines"] if "bound_" not in line["id"]]
    assert models[-1] == "my_idea"
    cell = sidecar["cells"]["table3/my_idea/cifar10_fd"]
    assert cell["kind"] == "measured" and cell["paper"] == ""


def without_seed(workspace, item, tmp_path):
    """The item's rows less one seed of one model."""
    rows = read_rows(workspace.data(item)).rows
    kept = [
        row
        for row in rows
        if (row.model, row.seed, row.metric) != ("dash", "42", "frechet")
    ]
    assert len(kept) < len(rows)
    write_rows(tmp_path / f"{item}.csv", kept)
    return tmp_path / f"{item}.csv"


def test_a_missing_number_is_an_error_and_a_dash_only_on_request(workspace, tmp_path):
    import make_table

    csv = without_seed(workspace, "tableC5", tmp_path)
    job = table_job(tmp_path, workspace.params, "tableC5", csv)
    with pytest.raises(CollectedError, match=r"no value of frechet .* model dash"):
        make_table.run(job)
    context = Context(
        "tableC5",
        read_rows(csv),
        workspace.params["make_table"],
        "demo",
        {path.name: path for path in job.sources},
        allow_missing=True,
    )
    cells = TABLES_BY_NAME["tableC5"].table(context).cells
    assert cells["tableC5/cifar10_dash/fd_50"].displayed == "–"
    assert cells["tableC5/cifar10_teacher/fd_50"].displayed != "–"
    assert cells["tableC5/cifar10_gap/fd_50"].displayed == "–"


def test_a_number_that_is_there_twice_is_an_error(workspace, tmp_path):
    import make_table

    rows = read_rows(workspace.data("table3")).rows
    twin = next(row for row in rows if row.metric == "frechet" and row.model == "dash")
    csv = tmp_path / "table3.csv"
    write_rows(csv, [*rows, replace(twin, instance="another")])
    with pytest.raises(CollectedError, match="2 values"):
        make_table.run(table_job(tmp_path, workspace.params, "table3", csv))


@pytest.mark.parametrize("item", ["table3", "claims"])
def test_order_of_rows_leaves_no_trace(workspace, item, tmp_path):
    import make_table

    lines = workspace.data(item).read_text().splitlines(keepends=True)
    outputs = []
    for turn in (1, -1):
        folder = tmp_path / str(turn)
        folder.mkdir()
        csv = folder / f"{item}.csv"
        csv.write_text("".join([lines[0], *lines[1:][::turn]]))
        job = table_job(folder, workspace.params, item, csv)
        make_table.run(job)
        outputs.append(
            [(job.out / f"{item}.{e}").read_bytes() for e in ("tex", "json")]
        )
    assert outputs[0] == outputs[1]


@pytest.mark.slow
def test_a_demo_with_other_data_draws_every_figure(tmp_path):
    workspace = Workspace(tmp_path, demo_like())
    for item in FIGURES:
        assert workspace.figure(item).stat().st_size > 5000


def test_features_without_classes_have_no_column_of_the_score(tmp_path, monkeypatch):
    """CLIP and DINOv2 know no classes, so no Inception score is in metrics.json."""
    for stage in ("compute_metrics", "extract_reference"):

        def without(path, member, rng, write=paper_results.WRITERS[stage]):
            write(path, member, rng)
            content = read_json(path)
            sets = [content["metrics"]] if "metrics" in content else []
            for bound in content.get("bounds", {}).values():
                sets += bound["sets"]
            for metrics in sets:
                del metrics["inception_score"]
            write_json(path, content)

        monkeypatch.setitem(paper_results.WRITERS, stage, without)
    sidecar = Workspace(tmp_path, small_params()).table("table3")
    heads = " ".join(sidecar["header"])
    assert "FD-" in heads and "IS" not in heads and "ρ" in heads
    assert not [address for address in sidecar["cells"] if address.endswith("_is")]
