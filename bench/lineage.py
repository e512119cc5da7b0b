"""Times the lineage layer at N times the paper's size, beside plain Snakemake and DVC.

    python bench/lineage.py [--times N] [--profile] [FOLDER]

Makes a workspace in FOLDER (default: a temporary one) with the committed params.yaml,
each experiment with N times as many seeds, fills it with a record and a few bytes for
every instance, and times what a user waits for. The bytes are random text: no number in
that workspace means anything. The same jobs, files and edges are written once more as a
plain Snakefile and a plain dvc.yaml without records (PLAIN), and timed in the same run.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import json
import os
import pstats
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "runledger" / "src")]

from dash_repro.workspace import make_workspace
from runledger import (
    CODE_STAGE,
    Instance,
    Judge,
    Record,
    hash_path,
    load_pipeline,
    settle,
    write_atomic,
)


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


class Times:
    """Seconds of wall and processor time (children included) by what was done."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}

    def __call__(self, what: str, action: Callable[[], Any]) -> Any:
        """Do it and return its result."""
        start, before = time.perf_counter(), sum(os.times()[:4])
        result = action()
        wall, cpu = time.perf_counter() - start, sum(os.times()[:4]) - before
        self.seconds[what] = {"wall": round(wall, 2), "cpu": round(cpu, 2)}
        return result


def run(root: Path, *command: str) -> str:
    """Run a program of this environment in the workspace; returns its output."""
    program = Path(sys.executable).parent / command[0]
    environment = {**os.environ, "PYTHONPATH": f"{root}/src:{root}/runledger/src"}
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


# One rule a stage; the inputs of a job are looked up, as a plain workflow would
PLAIN = """\
import json
DEPS = json.load(open("deps.json"))
rule all:
    input: "results/paper/main.pdf"
"""
RULE = """
rule {name}:
    input: lambda wildcards: DEPS[{first!r}.format(**wildcards)]
    output: {outs}
    wildcard_constraints: {constraints}
    shell: "touch {{output}}"
"""


def scaled_params(times: int, target: Path) -> Path:
    """Write the committed params with N times the seeds; returns the path."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for block in params["experiments"].values():
        if times > 1 and "seeds" in block:
            count = len(block["seeds"]) * times
            block["seeds"] = list(range(count))
            block["datasets"] = block["datasets"][:2]
    params["scale"] = "paper" if times == 1 else "demo"
    target.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return target


def write_plain(root: Path, ours: Path) -> None:
    """Write the same instances as a plain Snakefile and a plain dvc.yaml.

    Args:
        root: the plain project.
        ours: a filled workspace, whose files and dvc.lock it gets.
    """
    pipeline = load_pipeline(ours)
    shutil.copytree(ours, root, symlinks=True)
    deps, stages = {}, {}
    for instance in pipeline.instances.values():
        outs = [out.path for out in instance.outs]
        deps[outs[0]] = [d for d in instance.deps if d not in ("src", "stages")]
        stages[instance.name.replace("@", "-")] = {
            "cmd": instance.cmd,
            "deps": list(instance.deps),
            "params": list(instance.params),
            "outs": [
                path if out.cached else {path: {"cache": False}}
                for path, out in zip(outs, instance.outs, strict=True)
            ],
        }
    text = PLAIN
    for stage in pipeline.stages.values():
        names = re.findall(r"\{(\w+)\}", stage.id)
        allowed = {name: stage.constraints.get(name, ".+") for name in names}
        text += RULE.format(
            name=stage.name,
            first=stage.outputs[0][0],
            outs=", ".join(repr(path) for path, _ in stage.outputs),
            constraints=", ".join(f"{k}={v!r}" for k, v in allowed.items()) or "x='x'",
        )
    (root / "deps.json").write_text(json.dumps(deps), encoding="utf-8")
    (root / "Plain.smk").write_text(text, encoding="utf-8")
    plain = yaml.dump({"stages": stages}, Dumper=yaml.CSafeDumper, sort_keys=False)
    (root / "dvc.yaml").write_text(plain, encoding="utf-8")
    lock = (root / "dvc.lock").read_text(encoding="utf-8")
    renamed = re.sub(r"^(  \w+)@", r"\1-", lock, flags=re.M)
    (root / "dvc.lock").write_text(renamed, encoding="utf-8")


def judged(root: Path) -> dict[str, Any]:
    """Return the verdicts on a workspace as of now."""
    return Judge(root, load_pipeline(root)).judge()


def measure(root: Path, times: int, profile: bool) -> dict[str, Any]:
    """Fill a workspace and time verdicts, plans, dvc.lock and dvc status.

    Returns:
        Counts, and {what: {"wall", "cpu"}} in seconds.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    make_workspace(ROOT, root, scaled_params(times, root.parent / "params.yaml"))
    dry, seen = ("snakemake", "-n", "--quiet", "rules"), Times()
    out = seen("snakemake -n, nothing made", lambda: run(root, *dry))
    assert "total" in out, out
    count = fill(root)
    load_pipeline(root)  # imports
    verdicts = seen("verdicts, all valid", lambda: judged(root))
    assert all(verdict.valid for verdict in verdicts.values())
    if profile:
        with cProfile.Profile() as profiled:
            judged(root)
        pstats.Stats(profiled).sort_stats("tottime").print_stats(12)
    done = seen("dvc.lock written", lambda: settle(root))
    assert done["valid"] == count
    out = seen("snakemake -n, all valid", lambda: run(root, "snakemake", "-n"))
    assert "Nothing to be done" in out, out
    stale = one_param(root, seen)
    plain = root.parent / "plain"
    write_plain(plain, root)
    for where, name in ((root, "dvc status"), (plain, "dvc status, plain")):
        out = seen(name, lambda where=where: run(where, "dvc", "status"))
        assert "up to date" in out, out
    for path in (plain / "results").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    plainly = (*dry, "-s", "Plain.smk")
    out = seen("snakemake -n, nothing made, plain", lambda: run(plain, *plainly))
    assert str(count + 1) in out, "the same jobs, and the target"
    return {
        "instances": count,
        "stale after one param": stale,
        "load average": round(os.getloadavg()[0], 2),
        "seconds": seen.seconds,
    }


def one_param(root: Path, seen: Times) -> int:
    """Change one student's weight and back; returns how many instances are stale."""
    path = root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    params = yaml.safe_load(text)
    params["students"]["no_un"]["lambda_an"] = 0.123
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    verdicts = seen("verdicts, one param changed", lambda: judged(root))
    dry = ("snakemake", "-n", "--quiet", "rules")
    seen("snakemake -n, one param changed", lambda: run(root, *dry))
    path.write_text(text, encoding="utf-8")
    return sum(not verdict.valid for verdict in verdicts.values())


def main() -> None:
    """Print one JSON object of seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1, help="of the paper's seeds")
    parser.add_argument("--profile", action="store_true", help="of the verdicts")
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = (options.folder or Path(folder)) / "workspace"
        print(json.dumps(measure(root, options.times, options.profile), indent=1))


if __name__ == "__main__":
    main()
