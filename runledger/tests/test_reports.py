"""What is told of a finished run: its crate, its picture, what it cost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from toy import Toy

from runledger.audit import (
    About,
    Chain,
    check_crate,
    costs_by_stage,
    draw_stages,
    write_crate,
)
from runledger.audit.crate_files import DESCRIPTOR
from runledger.audit.picture import direct, layers, stages
from runledger.errors import UserError

MIT = About("a run", "of the toy.", "the toy", ("MIT", "MIT License"))


def entities(crate: Path) -> dict[str, dict]:
    """{id: entity} of a crate; each id once."""
    graph = json.loads((crate / DESCRIPTOR).read_text())["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def test_each_instance_is_an_action_with_inputs_params_and_outputs(
    finished: Path, tmp_path: Path
) -> None:
    crate = tmp_path / "crate"
    said = write_crate(finished, crate, MIT)
    assert said.startswith(f"{crate}: 8 actions, "), "seven instances and the run"
    found = entities(crate)
    action = found["#action/double@b"]
    value = "results/double/b/value.txt"
    assert [one["@id"] for one in action["result"]] == [value]
    read = {one["@id"] for one in action["object"]}
    assert "results/measure/b/value.txt" in read
    assert action["instrument"] == {"@id": "stages/double.py"}
    measured = found["#action/measure@b"]["object"]
    named = {found[one["@id"]].get("name"): found[one["@id"]] for one in measured}
    assert named["measure.b.value"]["value"] == "4"
    assert named["scale"]["value"] == "10"
    assert (crate / value).read_text() == "80\n"
    run = found["#run"]
    assert [one["@id"] for one in run["result"]] == ["results/report/_/report.txt"]
    inputs = {one["@id"] for one in run["object"]}
    assert {"params.yaml", "dvc.yaml", "data.txt"} <= inputs
    assert found["./"]["name"] == "a run"
    license = {"@id": "https://spdx.org/licenses/MIT"}
    workflow = found["workflow/Snakefile"]
    assert found["./"]["license"] == workflow["license"] == license
    assert workflow["name"] == "the toy"
    assert len(workflow["step"]) == 3


def test_a_crate_says_nothing_that_it_was_not_told(
    finished: Path, tmp_path: Path
) -> None:
    write_crate(finished, tmp_path / "crate")
    text = (tmp_path / "crate" / DESCRIPTOR).read_text()
    assert "spdx" not in text and "MIT" not in text
    found = entities(tmp_path / "crate")
    assert found["workflow/Snakefile"]["name"] == finished.name
    assert found["./"]["license"].startswith("No license is named")


def test_hashes_of_the_crate_are_those_of_its_files(toy: Toy, tmp_path: Path) -> None:
    crate = tmp_path / "crate"
    assert "sha256 each" in toy.ledger("crate", "--license", "MIT", str(crate))
    assert check_crate(crate) == []
    license = entities(crate)["workflow/Snakefile"]["license"]
    assert license == {"@id": "https://spdx.org/licenses/MIT"}
    assert "0 files are not" in toy.ledger("crate", "--check", str(crate))
    path = crate / "results/double/b/value.txt"
    path.unlink()
    path.write_text("81\n")
    assert check_crate(crate) == ["results/double/b/value.txt"]
    (crate / "params.yaml").unlink()
    said = toy.ledger("crate", "--check", str(crate), check=False)
    assert toy.code == 1 and "2 files" in said and "  params.yaml" in said
    write_crate(toy.root, crate)
    assert check_crate(crate) == [], "an earlier crate is replaced"


def test_an_unfinished_run_has_no_crate(toy: Toy, tmp_path: Path) -> None:
    toy.edit("params.yaml", "value: 3,", "value: 2,")
    with pytest.raises(UserError, match=r"3 instances are not valid, measure@c first"):
        write_crate(toy.root, tmp_path / "crate")
    assert not (tmp_path / "crate").exists()


def test_a_folder_of_something_else_is_left_alone(
    finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(UserError, match="not an RO-Crate"):
        write_crate(finished, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


def test_bytes_that_are_not_here_are_named_by_md5(toy: Toy, tmp_path: Path) -> None:
    (toy.root / "results/double/b/value.txt").unlink()
    write_crate(toy.root, tmp_path / "crate")
    (result,) = entities(tmp_path / "crate")["#action/double@b"]["result"]
    assert re.fullmatch("urn:md5:[0-9a-f]{32}", result["@id"])


def test_the_picture_has_a_box_for_each_stage_and_red_for_doubt(
    finished: Path,
) -> None:
    chain = Chain(finished)
    found, edges = stages(chain)
    assert edges == {("measure", "double"), ("double", "report")}
    assert {name: (one.runs, one.valid) for name, one in found.items()} == {
        "measure": (3, 3),
        "double": (3, 3),
        "report": (1, 1),
    }
    svg = ElementTree.fromstring(draw_stages(chain, {"double@b"}))
    boxes = [one for one in svg.iter() if one.tag.endswith("}rect")]
    assert [box.get("fill") for box in boxes] == ["#eef3f8", "#fde4e4", "#eef3f8"]
    said = [one.text for one in svg.iter() if one.tag.endswith("}desc")]
    assert said == ["double feeds report; measure feeds double"]


def test_what_is_not_valid_is_red(toy: Toy) -> None:
    toy.edit("params.yaml", "value: 3,", "value: 2,")
    svg = toy.ledger("dag")
    assert svg.count("#fde4e4") == 3 and "2 of 3 valid" in svg
    assert "0 of 1 valid" in svg


def test_arrows_that_follow_from_others_are_left_out() -> None:
    edges = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}
    assert direct(edges) == edges - {("a", "c")}
    assert layers(list("dcba"), edges) == [["a"], ["d", "b"], ["c"]]


def test_costs_are_wall_time_shared_by_what_ran_together(finished: Path) -> None:
    chain = Chain(finished)
    for id, notes, legs in (
        ("a", {"packed": ["a", "b"], "compute": {"cuda": "12"}}, 1),
        ("b", {"packed": ["a", "b"]}, 1),
        ("c", {}, 2),
    ):
        run = chain.record_of(f"measure@{id}").run
        run |= {"seconds": 7200.0, "notes": notes, "device": "Toy 1"}
        run["legs"] = legs * [{}]
    one = costs_by_stage(chain)["measure"]
    assert (one.runs, one.hours, one.gpu_hours, one.resumed) == (3, 4.0, 1.0, 1)
    assert one.text == "1.0 GPU h, 3 runs, Toy 1, 1 resumed (last leg counted)"


def test_costs_are_told_by_stage(finished: Path) -> None:
    head, *lines = Toy(finished).ledger("costs").splitlines()
    assert head.split() == [
        "stage",
        "runs",
        "time",
        "on",
        "a",
        "GPU",
        "resumed",
        "device",
    ]
    assert [line.split()[:2] for line in lines] == [
        ["measure", "3"],
        ["double", "3"],
        ["report", "1"],
        ["all", "7"],
    ]
