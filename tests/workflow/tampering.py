"""Ways to falsify a finished workspace, and what each of them taints."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runledger.canonical import pretty
from runledger.records import Record, recipe_key

STUDENT = "train_student/digits-dash-w4-s42"
TEACHER = "train_teacher/digits-tirt-s42"
SAMPLES = "generate_samples/digits-dash-w4-s42-cfg4.0-k4-n0"
METRICS = "compute_metrics/digits-dash-w4-s42-cfg4.0-k4-n0"
OTHER = "compute_metrics/digits-dash-w4-s123-cfg4.0-k4-n0"
CELL = "table3/dash/digits_fd"


def private_copy(source: Path, target: Path) -> Path:
    """A copy whose files are links: replacing one leaves the original alone."""

    def link(old: str, new: str) -> None:
        os.link(old, new)

    ignore = shutil.ignore_patterns(".snakemake", ".state", "logs", "recipes")
    shutil.copytree(source, target, symlinks=True, copy_function=link, ignore=ignore)
    return target


class Forger:
    """A workspace to falsify; every write replaces the file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str | Path, content: str | bytes) -> None:
        target = self.root / path
        target.unlink(missing_ok=True)
        data = content.encode() if isinstance(content, str) else content
        target.write_bytes(data)

    def flip(self, path: str) -> None:
        data = bytearray((self.root / path).read_bytes())
        data[len(data) // 2] ^= 1
        self.write(path, bytes(data))

    def replace(self, path: str, old: str, new: str, count: int = 1) -> None:
        text = (self.root / path).read_text()
        assert old in text, f"{old!r} is not in {path}"
        self.write(path, text.replace(old, new, count))

    def json(self, path: str, change: Callable[[Any], None]) -> None:
        content = json.loads((self.root / path).read_text())
        change(content)
        self.write(path, json.dumps(content, sort_keys=True, indent=1) + "\n")

    def record_path(self, instance: str) -> str:
        (path,) = (self.root / "results" / "records" / instance).glob("*.json")
        return path.relative_to(self.root).as_posix()

    def reseal(
        self, instance: str, change: Callable[[dict], None], rekey: bool = False
    ) -> None:
        """Edit a record and make it agree with itself again."""
        path = self.record_path(instance)
        content = json.loads((self.root / path).read_text())
        change(content)
        if rekey:
            (self.root / path).unlink()
            content["key"] = recipe_key(content["recipe"], content["inputs"])
            path = str(Path(path).with_name(f"{content['key']}.json"))
        content.pop("seal")
        content["seal"] = Record(**content, seal="").content_seal()
        self.write(path, pretty(content))

    def print_otherwise(self, address: str, text: str, kind: str = "measured") -> None:
        """Change a printed number in .tex and sidecar alike."""
        item = address.partition("/")[0]
        side = f"results/tables/{item}.json"
        old = json.loads((self.root / side).read_text())["cells"][address]["displayed"]

        def change(content: dict) -> None:
            content["cells"][address] |= {"displayed": text, "kind": kind}
            for line in content["lines"]:
                for entry in line["entries"]:
                    if address in entry["cells"]:
                        entry["text"] = entry["text"].replace(old, text, 1)
                        change.label = line["label"]

        self.json(side, change)
        lines = (self.root / f"results/tables/{item}.tex").read_text().split("\n")
        at = next(i for i, line in enumerate(lines) if line.startswith(change.label))
        lines[at] = lines[at].replace(old, text.replace("–", "--"), 1)
        self.write(f"results/tables/{item}.tex", "\n".join(lines))


def sidecars(root: Path) -> dict[str, Any]:
    """{address: cell} of all tables."""
    found: dict[str, Any] = {}
    for path in sorted((root / "results" / "tables").glob("*.json")):
        found |= json.loads(path.read_text())["cells"]
    return found


def consumers(root: Path, paths: set[str]) -> set[str]:
    """Paths made from any of these, by the records' own inputs: brute force."""
    records = [
        json.loads(path.read_text())
        for path in (root / "results" / "records").glob("**/*.json")
    ]
    found = set(paths)
    while True:
        more = {
            out
            for record in records
            if found & set(record["inputs"])
            for out in record["outputs"]
        }
        if more <= found:
            return found
        found |= more


def resting_on(root: Path, *paths: str) -> set[str]:
    """Measured cells that average a number made from these files."""
    tainted = consumers(root, set(paths))
    return {
        address
        for address, cell in sidecars(root).items()
        if cell["kind"] == "measured"
        and any(
            any(p.startswith(f"results/{v['stage']}/{v['instance']}/") for p in tainted)
            for v in cell["values"]
        )
    }
