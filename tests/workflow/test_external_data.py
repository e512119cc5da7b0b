"""Folder data and Inception's weights in the real project: what counts and what not."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from once import once
from paper_workspace import ROOT, TINY, Workspace, make
from test_paper_sizes import folder_of_images

from dash_repro.audit.account import run_account
from dash_repro.params import load_params
from dash_repro.preflight import FAIL, check_files
from runledger.audit import About, Chain
from runledger.audit.bytes import check_bytes
from runledger.audit.crate import _run
from runledger.audit.crate_files import Crate, ref
from runledger.canonical import digest, leaves
from runledger.judge import Judge
from runledger.project import load_pipeline, read_rules

sys.path.insert(0, str(ROOT / "tests" / "unit"))

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

REFERENCE = "results/extract_reference/digits/reference.npz"
IMAGES = "results/prepare_data/digits/images.npz"
MAKERS = {"prepare_data-digits", "extract_reference@digits"}


def photos_of(workspace: Workspace) -> Path:
    return workspace.root.parent / "my phötos"


def weights_of(workspace: Workspace) -> Path:
    return workspace.root.parent / "weights" / "inception.pt"


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """A folder with a workspace whose first dataset is a folder, up to its reference.

    Inception is replaced by a network of its signature.
    """
    from test_features import InceptionDouble

    def prepare(folder: Path) -> None:
        workspace = Workspace(folder / "workspace")
        folder_of_images(photos_of(workspace))
        weights_of(workspace).parent.mkdir()
        torch.manual_seed(0)
        torch.jit.script(InceptionDouble().eval()).save(str(weights_of(workspace)))
        params = load_params(TINY)
        block = {"source": "folder", "path": "../my phötos", "max_train": None}
        params["prepare_data"]["digits"].update(block, max_test=None)
        params["compute_metrics"].update(kid_subsets=2, kid_subset_size=4)
        params["extractor"] = {
            "name": "inception",
            "mode": "legacy_tensorflow",
            "weights_url": "http://127.0.0.1:9/inception.pt",
            "weights_path": "../weights/inception.pt",
            "weights_sha256": hashlib.sha256(
                weights_of(workspace).read_bytes()
            ).hexdigest(),
        }
        path = folder / "params.yaml"
        path.write_text(yaml.safe_dump(params, sort_keys=False))
        make(workspace.root, path).snakemake(REFERENCE)
        workspace.git("add", "-A")
        workspace.git("commit", "-q", "-m", "reference")

    return once(tmp_path_factory, "folder-data", prepare)


@pytest.fixture
def workspace(shared: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(shared, tmp_path / "lab", symlinks=True)
    return Workspace(tmp_path / "lab" / "workspace")


def valid(workspace: Workspace) -> set[str]:
    """Which of the two instances that ran are valid."""
    verdicts = Judge(workspace.root, load_pipeline(workspace.root)).judge()
    return {name for name in MAKERS if verdicts[name].valid}


def changed(workspace: Workspace) -> set[str]:
    """Which of the two instances that ran `dvc status` names."""
    out = workspace.run("dvc", "status", *MAKERS)
    return {name for name in MAKERS if f"{name}:" in out}


@pytest.mark.slow
def test_an_image_more_and_a_class_less(workspace: Workspace) -> None:
    """The case that was reported: both tools said that nothing had changed."""
    assert valid(workspace) == MAKERS
    assert changed(workspace) == set()
    train = photos_of(workspace) / "train"
    shutil.copy(train / "class1/0.png", train / "class0/more.png")
    assert valid(workspace) == set()
    assert "prepare_data-digits" in changed(workspace)
    (train / "class0/more.png").unlink()
    assert valid(workspace) == MAKERS
    for split in ("train", "test"):
        shutil.rmtree(photos_of(workspace) / split / "class3")
    out = workspace.run("python", "-m", "runledger", "why", "prepare_data/digits")
    assert "input ${prepare_data.digits.path}/train changed (20 files, " in out
    assert "input ${prepare_data.digits.path}/test changed (10 files, " in out
    assert "prepare_data-digits" in changed(workspace)
    assert "prepare_data-digits" in workspace.snakemake("-n", IMAGES)
    workspace.snakemake(REFERENCE)
    assert valid(workspace) == MAKERS
    assert changed(workspace) == set()


@pytest.mark.slow
def test_moved_data_and_weights_and_another_mirror(workspace: Workspace) -> None:
    """The sha256 says that the weights are the same, wherever they are from."""
    for old, new in ((photos_of(workspace), "Fotos"), (weights_of(workspace), "i.pt")):
        old.rename(workspace.root.parent / new)
    workspace.edit_params("prepare_data.digits.path", "../Fotos/")
    workspace.edit_params("extractor.weights_path", "../i.pt")
    workspace.edit_params("extractor.weights_url", "http://127.0.0.1:9/mirror")
    assert valid(workspace) == MAKERS
    assert changed(workspace) == {"prepare_data-digits"}, "dvc.lock has the old path"
    workspace.run("python", "-m", "runledger", "settle")
    assert changed(workspace) == set()
    workspace.edit_params("extractor.weights_sha256", "0" * 64)
    assert valid(workspace) == {"prepare_data-digits"}
    assert "extract_reference@digits" in changed(workspace)
    out = workspace.snakemake(REFERENCE, check=False)
    assert "the weights file has sha256" in out, "other bytes are never used"


@pytest.mark.slow
def test_weights_are_read_where_the_recipe_says(workspace: Workspace) -> None:
    (record,) = (workspace.root / "results/records/extract_reference/digits").iterdir()
    content = json.loads(record.read_text())
    assert content["run"]["uncounted"] == {
        "extractor.weights_path": "../weights/inception.pt",
        "extractor.weights_url": "http://127.0.0.1:9/inception.pt",
    }
    assert "extractor.weights_path" not in content["recipe"]["params"]


@pytest.mark.slow
def test_account_and_crate_name_the_folder(workspace: Workspace) -> None:
    chain = Chain(workspace.root)
    list(check_bytes(chain, ask_remote=False))
    audit = SimpleNamespace(evidence=SimpleNamespace(chain=chain))
    told = run_account(audit, "prepare_data-digits")
    states = {line["path"]: line["state"] for line in told["inputs"]}
    assert states["${prepare_data.digits.path}/train"] == (
        "read at ../my phötos/train; where it lies does not count"
    )
    assert told["uncounted"] == {"prepare_data.digits.path": "../my phötos"}
    crate = Crate(chain, workspace.root / "results/crate", About())
    crate.file(crate.workflow)
    record = chain.record_of("prepare_data-digits")
    _run(crate, {"prepare_data-digits": record}, ref("#agent"))
    for path, md5 in record.inputs.items():
        assert f"recorded at {path}" in crate.entities[f"urn:md5:{md5}"]["description"]


@pytest.mark.slow
def test_a_missing_folder_is_one_error(workspace: Workspace) -> None:
    workspace.edit_params("prepare_data.digits.image_size", 16)
    workspace.edit_params("prepare_data.digits.path", "../gone")
    out = workspace.snakemake(REFERENCE, check=False)
    assert workspace.code != 0
    assert "has to run and reads ../gone/train, which does not exist" in out
    assert "prepare_data.digits.path in params.yaml" in out
    pipeline = load_pipeline(workspace.root)
    verdicts = Judge(workspace.root, pipeline).judge()
    found = list(check_files(workspace.root, pipeline.params, verdicts))
    texts = [finding.text for finding in found if finding.level == FAIL]
    assert len(texts) == 2, "preflight says so for train and test"
    assert "reads ../gone/train, which does not exist" in texts[0]


# which params count, of the paper's and of any


@pytest.fixture(scope="module")
def paper() -> dict:
    return load_params(ROOT / "params.yaml")


@pytest.mark.parametrize(
    ("key", "touched"),
    [
        ("prepare_data.cifar10.path", set()),
        ("extractor.weights_path", set()),
        ("extractor.weights_url", set()),
        ("prepare_data.cifar10.image_size", {"prepare_data", "collect_results"}),
        (
            "extractor.weights_sha256",
            {"extract_reference", "compute_metrics", "rank_pairs"},
        ),
    ],
)
def test_stages_that_a_key_touches(paper: dict, key: str, touched: set[str]) -> None:
    other = copy.deepcopy(paper)
    *parents, leaf = key.split(".")
    node = other
    for part in parents:
        node = node[part]
    node[leaf] = 64 if leaf == "image_size" else "f" * 64
    pipelines = read_rules(ROOT, paper), read_rules(ROOT, other)
    recipes = [
        {n: digest([i.item, p.named_params(i)]) for n, i in p.instances.items()}
        for p in pipelines
    ]
    differing = {n for n, recipe in recipes[0].items() if recipes[1][n] != recipe}
    assert {pipelines[0][name].stage for name in differing} == touched


def test_every_key_of_a_source_counts_or_is_said_not_to(paper: dict) -> None:
    pipeline = read_rules(ROOT, paper)
    for instance in pipeline.instances.values():
        for section in ("prepare_data", "extractor"):
            read = [*instance.params, *instance.uncounted]
            read = {key for key in read if key.startswith(f"{section}.")}
            if instance.stage == "prepare_data" and section == "prepare_data":
                section = f"prepare_data.{instance.id}"
                block = paper["prepare_data"][instance.id]
            elif section == "extractor" and read:
                block = paper["extractor"]
            else:
                continue
            assert read == set(leaves(block, f"{section}."))
