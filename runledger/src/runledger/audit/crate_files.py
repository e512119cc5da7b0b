"""Entities and files of an RO-Crate: links to the checkout, hashes, their check."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runledger.audit.chain import Chain
from runledger.canonical import digest
from runledger.project import ledger_folder, settings

RUN = "https://w3id.org/ro/wfrun"
PROFILES = {
    f"{RUN}/process/0.5": ("Process Run Crate", "0.5"),
    f"{RUN}/workflow/0.5": ("Workflow Run Crate", "0.5"),
    f"{RUN}/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    "https://w3id.org/ro/terms/workflow-run/context",
]
STAMP = ".snakemake_timestamp"  # what Snakemake leaves in a folder that a job made
DESCRIPTOR = "ro-crate-metadata.json"
SPDX = "https://spdx.org/licenses/"
TYPES = {
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".csv": "text/csv",
    ".tex": "text/x-tex",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".html": "text/html",
    ".py": "text/x-python",
}
SNAKEFILES = ("workflow/Snakefile", "Snakefile")  # where Snakemake looks
Entity = dict[str, Any]


def _workflow(root: Path) -> str:
    """Path of the workflow's own file: the Snakefile, or else dvc.yaml."""
    named = settings(root).get("snakefile")
    found = [p for p in (named, *SNAKEFILES) if p and (root / p).is_file()]
    return found[0] if found else "dvc.yaml"


def ref(id: str) -> Entity:
    """A reference to an entity."""
    return {"@id": id}


@dataclass(frozen=True)
class About:
    """What a crate says of the workflow, for people.

    Attributes:
        name: of the run.
        description: of it, in a sentence or two.
        workflow: name of the workflow; "": that of the folder.
        license: of the workflow and the crate: (identifier in SPDX's list, full name).
    """

    name: str = "A run of a Snakemake workflow"
    description: str = (
        "Every stage instance of one run, with inputs, outputs and params, from its "
        "run records."
    )
    workflow: str = ""
    license: tuple[str, str] | None = None


class Crate:
    """Collects entities; each id once.

    Args:
        chain: the checkout.
        folder: of the crate; files are linked into it.
        about: what it says for people.
    """

    def __init__(self, chain: Chain, folder: Path, about: About) -> None:
        self.chain, self.folder, self.about = chain, folder, about
        self.workflow = _workflow(chain.root)
        self.entities: dict[str, Entity] = {}
        self.files: list[str] = []

    def add(self, id: str, type: Any, **about: Any) -> Entity:
        """Add an entity (or return the one that is there) and refer to it."""
        self.entities.setdefault(id, {"@id": id, "@type": type, **about})
        return ref(id)

    def file(self, path: str, md5: str = "", **about: Any) -> Entity:
        """Add a file, or folder, of the checkout; absent bytes are named by md5."""
        source = self.chain.root / path
        if source.is_dir():
            files = sorted(
                one.relative_to(self.chain.root).as_posix()
                for one in source.rglob("*")
                if one.is_file() and one.name != STAMP
            )
            parts = [self.file(one) for one in files]
            return self.add(f"{path}/", "Dataset", name=source.name, hasPart=parts)
        if not source.is_file():
            id = f"urn:md5:{md5}"
            text = f"not in this crate; recorded at {path}"
            return self.add(id, "File", name=Path(path).name, description=text, **about)
        if path not in self.entities:
            self.files.append(path)
            _link(source, self.folder / path)
            content = source.read_bytes()
            known = {
                "name": path.removeprefix(f"{ledger_folder(self.chain.root)}/"),
                "contentSize": str(len(content)),
                "sha256": hashlib.sha256(content).hexdigest(),
                "encodingFormat": TYPES.get(source.suffix, "application/octet-stream"),
            }
            self.add(path, about.pop("type", "File"), **known, **about)
        return ref(path)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def leaves(value: Any, key: str) -> dict[str, Any]:
    """{dotted key: value} of the leaves of a parameter tree."""
    if isinstance(value, Mapping) and value:
        found: dict[str, Any] = {}
        for name, inner in value.items():
            found |= leaves(inner, f"{key}.{name}")
        return found
    return {key: value}


def param(crate: Crate, key: str, value: Any) -> Entity:
    """One param, or version, as a PropertyValue."""
    text = value if isinstance(value, str) else json.dumps(value)
    id = f"#param-{digest([key, text])[:16]}"
    return crate.add(id, "PropertyValue", name=key, value=text)


def usage_of(crate: Crate, name: str, value: str) -> Entity:
    """One resource that a run used."""
    id = f"#usage-{digest([name, value])[:16]}"
    known = {"propertyID": f"urn:runledger:{name.replace(' ', '-')}", "value": value}
    return crate.add(id, "PropertyValue", name=name, **known)


def check_crate(folder: Path) -> list[str]:
    """Names of files that are missing or whose size or sha256 is not the crate's."""
    content = json.loads((Path(folder) / DESCRIPTOR).read_text(encoding="utf-8"))
    wrong = []
    for entity in content["@graph"]:
        if "sha256" not in entity:
            continue
        path = Path(folder) / entity["@id"]
        data = path.read_bytes() if path.is_file() else None
        if (
            data is None
            or hashlib.sha256(data).hexdigest() != entity["sha256"]
            or str(len(data)) != entity["contentSize"]
        ):
            wrong.append(entity["@id"])
    return wrong
