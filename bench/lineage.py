"""Times the lineage layer at the paper's size, with stand-in bytes.

    python bench/lineage.py [FOLDER]

Makes a workspace with the committed params.yaml in FOLDER (default: a temporary one),
fills it with a record and a few bytes for every instance, and times what a user waits
for. The bytes are random text: no number in that workspace means anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from dash_repro.project import load_pipeline
from dash_repro.workspace import make_workspace
from runledger.canonical import write_atomic
from runledger.dvclock import settle
from runledger.judge import Judge
from runledger.pipeline import CODE_STAGE, Instance
from runledger.records import Record
from runledger.store import hash_path


def stand_in(root: Path, judge: Judge, instance: Instance) -> dict[str, dict]:
    """Write a few bytes for every output of an instance; returns record entries."""
    outputs = {}
    for out in instance.outs:
        path = root / out.path
        text = hashlib.sha256(out.path.encode()).hexdigest() + "\n"
        write_atomic(path, text)
        content = hash_path(path)
        outputs[out.path] = {"md5": content.md5, "size": content.size}
        if out.cached:
            judge.store.put(path, content)
        else:
            outputs[out.path]["inline"] = text
        judge.store.remember(path, content)
    return outputs


def fill(root: Path) -> int:
    """Give every instance a valid record; returns how many there are."""
    pipeline = load_pipeline(root)
    judge = Judge(root, pipeline)
    known: dict = {}
    for instance in pipeline.instances.values():
        if instance.stage == CODE_STAGE:
            known[instance.name] = judge._judge_code(instance)
            write_atomic(root / instance.outs[0].path, judge.code_text(instance.id))
            continue
        verdict = judge._judge(instance, known)
        outputs = stand_in(root, judge, instance)
        record = Record(
            instance=instance.name,
            key=verdict.key,
            recipe=verdict.frozen,
            inputs=verdict.inputs,
            code_modules=judge.code.modules(f"stages/{instance.stage}.py"),
            outputs=outputs,
            run={"start": "", "end": "", "notes": {"stand-in": True}},
        )
        judge.records.write(instance, record)
        known[instance.name] = judge._judge(instance, known)
    return len(known)


def timed(action: Callable[[], object]) -> tuple[float, object]:
    """Return (seconds of wall time, result)."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def run(root: Path, *command: str) -> str:
    """Run a program of this environment in the workspace; returns its output."""
    program = Path(sys.executable).parent / command[0]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run(
        [str(program), *command[1:]],
        cwd=root,
        env=environment,
        encoding="utf-8",
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def measure(root: Path) -> dict[str, float]:
    """Fill a workspace and time verdicts, plans, dvc.lock and dvc status."""
    make_workspace(ROOT, root, ROOT / "params.yaml")
    empty, out = timed(lambda: run(root, "snakemake", "-n", "--quiet", "rules"))
    assert "total" in out, out
    count = fill(root)
    judge_seconds, verdicts = timed(lambda: Judge(root, load_pipeline(root)).judge())
    assert all(verdict.valid for verdict in verdicts.values())
    lock_seconds, done = timed(lambda: settle(root))
    assert done["valid"] == count
    plan_seconds, out = timed(lambda: run(root, "snakemake", "-n"))
    assert "Nothing to be done" in out, out
    status_seconds, out = timed(lambda: run(root, "dvc", "status"))
    assert "up to date" in out, out
    return {
        "instances": count,
        "verdicts_s": round(judge_seconds, 2),
        "dry_run_of_everything_s": round(empty, 2),
        "dry_run_when_valid_s": round(plan_seconds, 2),
        "write_dvc_lock_s": round(lock_seconds, 2),
        "dvc_status_s": round(status_seconds, 2),
        "load_average": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Print one JSON object of seconds."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(Path(sys.argv[1])), indent=1))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder) / "workspace"), indent=1))


if __name__ == "__main__":
    main()
