"""Put each fault of mutations.toml into a copy of the checkout: do the tests find it?

    python tests/mutate.py                  all of them; repeat to go on after a stop
    python tests/mutate.py ID ...           these
    python tests/mutate.py --report         what is known, without running anything

Each is looked for in the tests named beside it; what is left then in the fast tests,
and at last in the slow ones. Results: lines of JSON in results/.state/mutants.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MUTATIONS = ROOT / "tests" / "mutations.toml"
RESULTS = ROOT / "results" / ".state" / "mutants.jsonl"
STEPS = {
    "named": "not cluster",
    "fast": "not slow and not cluster",
    "slow": "slow and not cluster",
}
LONGEST = 3600  # seconds of one pytest


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def mutations() -> list[dict[str, Any]]:
    """Read the list; one whose old text the code has no more, or twice, is said."""
    found = []
    for one in tomllib.loads(MUTATIONS.read_text(encoding="utf-8"))["mutation"]:
        count = (ROOT / one["file"]).read_text(encoding="utf-8").count(one["old"])
        if count == 1:
            found.append(one)
        else:
            where = f"{count} times in {one['file']}"
            print(f"outdated  {one['id']}: its old text occurs {where}")
    return found


def copy(target: Path) -> Path:
    """Copy the checkout, uncommitted changes too."""
    git(ROOT, "clone", "-q", "--shared", str(ROOT), str(target))
    changed = git(ROOT, "ls-files", "-z", "-mo", "--exclude-standard").split("\0")
    for name in filter(None, changed):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
        else:
            (target / name).unlink(missing_ok=True)
    git(target, "add", "-A")
    identity = ("-c", "user.name=mutants", "-c", "user.email=mutants@localhost")
    git(target, *identity, "commit", "-q", "--allow-empty", "-m", "as it is now")
    return target


def arguments(one: dict[str, Any], step: str) -> list[list[str]]:
    """Arguments of the runs of pytest in which a step looks for a mutation."""
    named = [path for path in one["tests"] if (ROOT / path).exists()]
    if step == "named":
        return [[path, "-m", STEPS[step]] for path in named]
    others = [f"--ignore={path}" for path in named]
    return [["tests", "runledger/tests", "-m", STEPS[step], *others]]


def pytest(root: Path, arguments: list[str]) -> tuple[int, str]:
    """Run it until the first failure; (exit status, output)."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    packages = f"{root}/src:{root}/runledger/src"  # the copy's, not the checkout's
    own = {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as temporary:
        options = ["-q", "-x", "-rfE", "--tb=line", "-p", "no:cacheprovider"]
        options.append(f"--basetemp={temporary}/tests")
        options += ["-c", str(root / "pyproject.toml"), "--rootdir", str(root)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *arguments, *options],
                cwd=root,
                env={**os.environ, **own, "PATH": path},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            return 1, f"FAILED no end within {LONGEST} s"
        return done.returncode, done.stdout


def examine(one: dict[str, Any], step: str, root: Path) -> dict[str, Any]:
    """Apply one mutation, look for a test that finds it, take it back."""
    path, start = root / one["file"], time.monotonic()
    path.write_text(path.read_text().replace(one["old"], one["new"]))
    result = {"id": one["id"], "verdict": "survived", "by": "", "step": step}
    try:
        for options in arguments(one, step):
            status, output = pytest(root, options)
            if status in (3, 4):  # pytest itself fails, whatever the code
                sys.exit(output)
            if status not in (0, 5):  # 5: there are no such tests
                found = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.M)
                result.update(verdict="killed", by=found[1] if found else output[-300:])
                break
    finally:
        git(root, "checkout", "-q", "--", one["file"])
    return {**result, "seconds": round(time.monotonic() - start)}


def known(path: Path) -> dict[str, dict[str, Any]]:
    """Results so far, by id; the latest counts."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {result["id"]: result for result in map(json.loads, lines)}


def due(found: list[dict], results: dict[str, dict], step: str) -> list[dict]:
    """Mutations that survived the steps before this one, or had none yet."""
    order = list(STEPS)
    return [
        one
        for one in found
        if (done := results.get(one["id"])) is None
        or (
            done["verdict"] == "survived" and done["step"] in order[: order.index(step)]
        )
    ]


def report(found: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> int:
    """Print a table; exit status 1 if a mutation survived."""
    for one in found:
        result = results.get(one["id"], {"verdict": "not run", "by": "", "step": ""})
        print(f"{result['verdict']:9s} {one['id']:28s} {one['what']}")
        print(f"{'':10s}{result['by'] or result['step']}")
    verdicts = [results[one["id"]]["verdict"] for one in found if one["id"] in results]
    print(f"{verdicts.count('killed')} of {len(verdicts)} found")
    return int("survived" in verdicts)


def main() -> int:
    """Run what has no result yet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("ids", nargs="*", metavar="ID")
    parser.add_argument("--report", action="store_true", help="only print results")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--jobs", type=int, default=2, help="mutations at a time")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = [m for m in mutations() if not options.ids or m["id"] in options.ids]
    if not options.report:
        options.results.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            copies = [copy(Path(folder) / f"copy{i}") for i in range(options.jobs)]
            for step in options.steps:
                todo = due(found, known(options.results), step)
                run(todo, step, copies, options.results)
    return report(found, known(options.results))


def run(todo: list[dict], step: str, copies: list[Path], results: Path) -> None:
    """Look for mutations in one step's tests, in as many copies at a time."""
    free: SimpleQueue[Path] = SimpleQueue()
    for root in copies:
        free.put(root)

    def work(one: dict[str, Any]) -> None:
        root = free.get()
        result = examine(one, step, root)
        free.put(root)
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        said = f"{result['verdict']:9s} {step:6s} {result['id']}  {result['by']}"
        print(said, flush=True)

    with ThreadPoolExecutor(len(copies)) as pool:
        list(pool.map(work, todo))


if __name__ == "__main__":
    sys.exit(main())
