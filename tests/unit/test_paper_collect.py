"""Collecting: every number once, to the last digit, with whose it is."""

import json
from dataclasses import replace

import numpy as np
import pytest
from paper_fixtures import TIMESTEPS, Workspace, collecting_job, rng_of, small_params

from dash_repro.arrays import ArrayFileError, write_json
from dash_repro.paper.collect import identity_row, read_instance, snapshot_indices
from dash_repro.paper.rows import (
    Collected,
    CollectedError,
    Row,
    number_text,
    param_rows,
    read_rows,
    write_rows,
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("collect"), small_params())


def test_every_metric_is_in_the_csv_with_all_its_digits(workspace):
    found = read_rows(workspace.data("table3"))
    files = sorted((workspace.root / "compute_metrics").glob("*/metrics.json"))
    rows = found.find("frechet")
    assert rows and {row.instance for row in rows} <= {f.parent.name for f in files}
    for row in rows:
        path = workspace.root / "compute_metrics" / row.instance / "metrics.json"
        content = json.loads(path.read_text())
        assert float(row.value) == content["metrics"]["frechet"]["value"]
        assert row.name == "fd_effnetlite0" and row.n == "10000"
        assert (row.dataset, row.model) == tuple(row.instance.split("-")[:2])
    seeds = {row.seed for row in rows if row.model == "dash"}
    assert seeds == {"42", "123"}  # nothing was averaged


def test_bins_without_pairs_give_no_row_and_x_is_the_middle(workspace):
    rows = read_rows(workspace.data("figure4c")).find("rho_bin", model="dash", seed=42)
    width = TIMESTEPS / 5
    expected = [width * (k + 0.5) for k in range(1, 5)]
    assert sorted(float(row.x) for row in rows) == expected


def test_history_keeps_the_monitored_steps_only(workspace):
    rows = read_rows(workspace.data("figure5a")).find("rho_step", model="dash", seed=42)
    assert sorted(int(row.step) for row in rows) == list(range(3, 31, 3))


def test_curriculum_keeps_first_and_last_snapshot():
    assert snapshot_indices(40)[0] == 0 and snapshot_indices(40)[-1] == 39
    assert len(snapshot_indices(40)) == 6
    assert snapshot_indices(3) == [0, 1, 2]
    assert snapshot_indices(1) == [0]


def test_derived_curves_are_the_equations(workspace):
    collected = read_rows(workspace.data("figure4a"))
    rows = sorted(collected.find("tag_scale"), key=lambda row: float(row.x))
    t = np.arange(TIMESTEPS)
    expected = 1 + 3 / (1 + np.exp(-5 * (0.5 - t / TIMESTEPS)))
    assert np.allclose([float(row.value) for row in rows], expected, atol=1e-12)
    rows = read_rows(workspace.data("figure4b")).find("omega_min_snr")
    values = [float(row.value) for row in rows]
    assert len(values) == TIMESTEPS and np.mean(values) == pytest.approx(1, abs=1e-12)


def test_order_of_inputs_leaves_no_trace(workspace, tmp_path):
    import collect_results

    texts = []
    for turn in (1, -1):
        job = collecting_job(
            workspace.root, workspace.pipeline, workspace.params, "table4"
        )
        job._inputs = job._inputs[::turn]
        job.out = tmp_path / str(turn)
        collect_results.run(job)
        texts.append((job.out / "table4.csv").read_bytes())
    assert texts[0] == texts[1]


def test_rows_survive_the_file(tmp_path):
    rng = rng_of("rows")
    numbers = [*rng.normal(0, 1, 50), 1e-300, 0.1 + 0.2, 12345678.9]
    rows = [
        Row(item="t", metric="m", name='a,"b"\n', value=number_text(x), instance=str(i))
        for i, x in enumerate(numbers)
    ]
    write_rows(tmp_path / "rows.csv", rows)
    back = read_rows(tmp_path / "rows.csv")
    assert sorted(back.rows) == sorted(rows)
    assert sorted(float(row.value) for row in back.rows) == sorted(map(float, numbers))


def test_a_file_with_other_columns_is_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("item,value\nt,1\n")
    with pytest.raises(CollectedError, match="columns"):
        read_rows(tmp_path / "rows.csv")


def test_one_value_asked_for_means_exactly_one():
    row = Row(metric="m", seed="42", scale="4.0", value="1.0")
    found = Collected([row, replace(row, seed="123")], "here")
    assert found.one("m", seed=42, scale=4.0) == row
    with pytest.raises(CollectedError, match="2 values"):
        found.one("m")
    with pytest.raises(CollectedError, match="no value of m for seed 456"):
        found.one("m", seed=456)


def test_params_are_found_by_dotted_key():
    params = {"a": {"b": {"c": [1, 2.5]}, "d": None}}
    found = Collected(param_rows("t", params), "here")
    assert found.param("a.b.c") == [1, 2.5]
    assert found.param("a.d") is None
    with pytest.raises(CollectedError, match=r"a\.b\.x"):
        found.param("a.b.x")
    assert found.param("a") == params["a"]
    with pytest.raises(CollectedError, match="'z'"):
        found.param("z")


def test_a_metrics_file_without_a_key_names_the_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_json(path, {"num_samples": 5})
    member = {"stage": "compute_metrics", "dataset": "d", "model": "dash"}
    base = identity_row("t", "compute_metrics", "x", member)
    with pytest.raises(ArrayFileError, match="extractor") as error:
        read_instance(path, base)
    assert str(path) in str(error.value)


def test_a_truncated_export_names_the_file(tmp_path, workspace):
    workspace.data("figure4b")
    good = next((workspace.root / "export_tirt").glob("*/tirt.safetensors"))
    path = tmp_path / "tirt.safetensors"
    path.write_bytes(good.read_bytes()[:-9])
    base = identity_row(
        "t", "export_tirt", "x", {"stage": "export_tirt", "dataset": "d"}
    )
    with pytest.raises(ArrayFileError, match="safetensors"):
        read_instance(path, base)


def test_a_member_of_another_stage_is_refused():
    with pytest.raises(CollectedError, match="identity"):
        identity_row(
            "t", "compute_metrics", "x", {"stage": "rank_pairs", "dataset": "d"}
        )
