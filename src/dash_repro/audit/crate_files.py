"""Entities and files of an RO-Crate: links to the checkout, hashes, their check."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runledger import digest
from runledger.audit import Chain

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
WORKFLOW, DESCRIPTOR = "workflow/Snakefile", "ro-crate-metadata.json"
LICENSE = "https://spdx.org/licenses/MIT"
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
Entity = dict[str, Any]


def ref(id: str) -> Entity:
    """A reference to an entity."""
    return {"@id": id}


class Crate:
    """Collects entities; each id once.

    Args:
        chain: the checkout.
        folder: of the crate; files are linked into it.
    """

    def __init__(self, chain: Chain, folder: Path) -> None:
        self.chain, self.folder = chain, folder
        self.entities: dict[str, Entity] = {}
        self.files: list[str] = []

    def add(self, id: str, type: Any, **about: Any) -> Entity:
        """Add an entity (or return the one that is there) and refer to it."""
        self.entities.setdefault(id, {"@id": id, "@type": type, **about})
        return ref(id)

    def file(self, path: str, md5: str = "", **about: Any) -> Entity:
        """Add a file of the checkout; absent bytes are named by their md5."""
        source = self.chain.root / path
        if not source.is_file():
            id = f"urn:md5:{md5}"
            text = f"not in this crate; recorded at {path}"
            return self.add(id, "File", name=Path(path).name, description=text, **about)
        if path not in self.entities:
            self.files.append(path)
            _link(source, self.folder / path)
            content = source.read_bytes()
            known = {
                "name": path.removeprefix("results/"),
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
