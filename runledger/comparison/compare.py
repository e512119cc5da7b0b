"""Do the same to one workflow with each tool, count what runs again, write the table.

    python runledger/comparison/compare.py [--only NAME] [--write]

It needs the environment of runledger (Snakemake and DVC are in it), git, and uv for the
environments of the other tools, which go to a temporary folder. A minute a tool.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools import Datalad, Dvc, Runledger, Snakemake, SnakemakeCache, Tool

from workflow import REPORT

README = Path(__file__).resolve().parents[1] / "README.md"
TOOLS = (Snakemake, SnakemakeCache, Dvc, Datalad, Runledger)
MARK = "<!-- comparison -->\n"


def finished(tool: Tool) -> None:
    """A project in which everything has run, is committed and sent."""
    tool.create()
    tool.run()
    tool.commit()
    tool.push()


def again(tool: Tool) -> str:
    """Bring everything up to date; returns how many jobs that took."""
    before = tool.runs()
    said = tool.run(check=False)
    return str(tool.runs() - before) if tool.status == 0 else f"error: {last(said)}"


def nothing(tool: Tool) -> str:
    """Bring everything up to date where nothing was edited."""
    return again(tool) if tool.asks else "nothing started"


def last(said: str) -> str:
    """The last line of an output, short."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:60] if lines else ""


def clone(tool: Tool) -> str:
    """Clone, with the bytes."""
    finished(tool)
    other = tool.clone()
    count = nothing(other)
    return count if (other.root / REPORT).exists() else f"{count}, no result"


def late_edit(tool: Tool) -> str:
    """Clone without the bytes, and change what only the last job reads."""
    finished(tool)
    other = tool.clone(fetch=False)
    other.edit("params.yaml", "numbers", "digits")
    return again(other)


def touch(tool: Tool) -> str:
    """Give all files of the project new dates."""
    finished(tool)
    time.sleep(1)
    listed = tool.call("git", "ls-files").split()
    for name in listed:
        if not name.startswith("results/"):
            os.utime(tool.root / name)
    return nothing(tool)


def comment(tool: Tool) -> str:
    """Change a comment of the script of three jobs."""
    finished(tool)
    tool.edit("scripts/double.py", "import os", "# how it is doubled\nimport os")
    return again(tool)


def code(tool: Tool) -> str:
    """Change what the script of three jobs computes."""
    finished(tool)
    tool.edit("scripts/double.py", "int(value)", "int(value) + 1")
    return again(tool)


def undo(tool: Tool) -> str:
    """Change a parameter, run, and change it back: what runs now."""
    finished(tool)
    result = (tool.root / REPORT).read_text()
    tool.edit("params.yaml", "scale: 10", "scale: 20")
    tool.run()
    assert (tool.root / REPORT).read_text() != result
    tool.edit("params.yaml", "scale: 20", "scale: 10")
    count = again(tool)
    return count if (tool.root / REPORT).read_text() == result else f"{count}, wrong"


def branch(tool: Tool) -> str:
    """Work on another branch, and come back to the first."""
    finished(tool)
    result = (tool.root / REPORT).read_text()
    tool.call("git", "checkout", "-q", "-b", "other")
    tool.edit("params.yaml", "scale: 10", "scale: 20")
    tool.run()
    tool.commit()
    tool.call("git", "checkout", "-q", "main")
    count = nothing(tool)
    return count if (tool.root / REPORT).read_text() == result else f"{count}, wrong"


def two_heads(tool: Tool) -> str:
    """Start it twice at once."""
    tool.create()
    os.environ["SECONDS_A_JOB"] = "1"
    try:
        heads = [tool.start(*tool.command()) for _ in range(2)]
        said = [head.communicate()[0] for head in heads]
    finally:
        del os.environ["SECONDS_A_JOB"]
    failed = [text for head, text in zip(heads, said, strict=True) if head.returncode]
    count, right = tool.runs(), (tool.root / REPORT).exists()
    ends = {0: "both end well", 1: "the second is refused", 2: "both fail"}[len(failed)]
    return f"{count}, {ends}{'' if right else ', no result'}"


def lost(tool: Tool) -> str:
    """Lose a file on the remote, clone, and change what needs it."""
    finished(tool)
    tool.lose()
    other = tool.clone()
    named = "double/b" in other.fetched
    other.edit("params.yaml", "numbers", "digits")
    count = again(other)
    return f"{count}{', named' if named else ''}"


SCENARIOS: dict[str, tuple[Callable[[Tool], str], str]] = {
    "clone, with the bytes": (clone, "0"),
    "clone without the bytes, edit what the last job reads": (late_edit, "1"),
    "touch every file": (touch, "0"),
    "change a comment of the script of three jobs": (comment, "0"),
    "change what that script computes": (code, "4"),
    "change a parameter, run, change it back": (undo, "0"),
    "run on another branch, switch back": (branch, "0"),
    "start it twice at once": (two_heads, "7"),
    "lose a file on the remote, clone, edit the last job": (lost, "2, named"),
}


def measure(tool: Tool) -> tuple[str, str]:
    """Processor seconds of a first run, and of one with nothing to do."""
    tool.create()
    took = []
    for _ in range(2):
        before = os.times()
        tool.run()
        after = os.times()
        user = after.children_user - before.children_user
        took.append(user + after.children_system - before.children_system)
    return tuple(f"{seconds:.1f} s" for seconds in took)


def install(folder: Path) -> None:
    """Give datalad an environment of its own."""
    place = folder / "datalad"
    if not place.exists():
        subprocess.run(["uv", "venv", "-q", str(place)], check=True)
        python = str(place / "bin" / "python")
        packages = ["datalad", "git-annex"]
        command = ["uv", "pip", "install", "-q", "--python", python, *packages]
        subprocess.run(command, check=True)
    Datalad.programs = place / "bin"


def cells(kind: type[Tool], folder: Path) -> dict[str, str]:
    """What one tool does in all scenarios."""
    found = {}
    for what, (scenario, _) in SCENARIOS.items():
        place = Path(tempfile.mkdtemp(dir=folder))
        try:
            found[what] = scenario(kind(place))
        except RuntimeError as error:
            found[what] = f"error: {last(str(error))}"
        print(f"{kind.name}: {what}: {found[what]}", flush=True)
        subprocess.run(["chmod", "-R", "u+w", str(place)], check=False)
        shutil.rmtree(place)
    first, idle = measure(kind(Path(tempfile.mkdtemp(dir=folder))))
    found["processor time of a first run"] = first
    found["processor time with nothing to do"] = idle
    return found


def table(results: dict[str, dict[str, str]]) -> str:
    """The Markdown table: a row for each scenario, a column for each tool."""
    best = {what: ideal for what, (_, ideal) in SCENARIOS.items()}
    lines = ["| | needed | " + " | ".join(results) + " |"]
    lines.append("|---" * (len(results) + 2) + "|")
    for what in next(iter(results.values())):
        ideal, row = best.get(what, ""), [found[what] for found in results.values()]
        good = [bool(ideal) and cell.startswith(ideal) for cell in row]
        shown = [f"**{c}**" if g else c for c, g in zip(row, good, strict=True)]
        lines.append(f"| {what} | {ideal} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare the tools, print the table, and write it into the README if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="part of a tool's name")
    parser.add_argument("--write", action="store_true", help="into the README")
    parser.add_argument("--folder", type=Path, help="for environments and projects")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="comparison-"))
    folder.mkdir(exist_ok=True)
    chosen = [kind for kind in TOOLS if (options.only or "") in kind.name]
    if Datalad in chosen:
        install(folder)
    text = table({kind.name: cells(kind, folder) for kind in chosen})
    print(text)
    if options.write:
        before, _, after = README.read_text(encoding="utf-8").split(MARK)
        page = f"{before}{MARK}\n{text}\n{MARK}{after}"
        README.write_text(re.sub(r"\n{3,}", "\n\n", page), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
