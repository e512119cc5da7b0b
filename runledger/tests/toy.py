"""A small project for testing the lineage layer: real git, snakemake and dvc.

measure@{a,b,c}   value of a param, times a factor     (cached)
double@{a,b,c}    twice what was measured              (cached)
report            all doubles, one line each           (text in git)
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import warm
from warm import BIN

import runledger

SOURCE = Path(runledger.__file__).resolve().parents[1]  # or site-packages

PARAMS = """\
scale: 10
measure:
  a: {value: 1, sleep: 0}
  b: {value: 4, sleep: 0}
  c: {value: 3, sleep: 0}
report: {title: numbers}
"""
DVC = """\
stages:
  fingerprint_code:
    foreach: [measure, double, report]
    do:
      cmd: python stages/fingerprint_code.py ${item}
      deps: [src, stages]
      outs:
        - results/code/${item}.json: {cache: false}
  measure:
    foreach: ${measure}
    do:
      cmd: python stages/measure.py ${key}
      deps: [results/code/measure.json, data.txt]
      params: ["measure.${key}", scale]
      outs: ["results/measure/${key}/value.txt"]
  double:
    foreach: ${measure}
    do:
      cmd: python stages/double.py ${key}
      deps: [results/code/double.json, "results/measure/${key}/value.txt"]
      outs: ["results/double/${key}/value.txt"]
  report:
    cmd: python stages/report.py
    deps:
      - results/code/report.json
      - results/double/a/value.txt
      - results/double/b/value.txt
      - results/double/c/value.txt
    params: [report]
    outs:
      - results/report/_/report.txt: {cache: false}
"""
SNAKEFILE = """\
from pathlib import Path
from runledger.bundles import Sizes
from runledger.smk import Ledger
L = Ledger(
    Path.cwd(), workflow.is_main_process,
    {"all": (("report",), None), "doubles": (("double",), None)},
    Sizes({"measure": config.get("bundle", 1)}, {}),
)
PYTHON = L.python(workflow)
RUN = f"{PYTHON} {L.code}/stages"
wildcard_constraints: id="[a-z]+"
rule all:
    input: "params.yaml", L.targets("all", workflow)
rule fingerprint_code:
    input: unpack(L.needs("fingerprint_code", "{id}"))
    output: "results/code/{id}.json"
    shell: "{RUN}/fingerprint_code.py --recipe {input.recipe:q}"
rule fetch:
    input: L.ticket
    output: "{path}"
    wildcard_constraints: path=L.fetchable()
    shell: "{PYTHON} -m runledger fetch {input:q}"
rule measure:
    input: unpack(L.needs("measure", "{id}", data="data.txt"))
    output: "results/measure/{id}/value.txt"
    shell: "{RUN}/measure.py --recipe {input.recipe:q}"
rule double:
    input: unpack(L.needs("double", "{id}", value="results/measure/{id}/value.txt"))
    output: "results/double/{id}/value.txt"
    shell: "{RUN}/double.py --recipe {input.recipe:q}"
rule report:
    input: unpack(L.needs("report", "", values=L.deps("report", "")))
    output: "results/report/_/report.txt"
    shell: "{RUN}/report.py --recipe {input.recipe:q}"
for bundle in L.bundles:
    rule:
        name: bundle.name
        input: files=L.bundle_inputs(bundle), recipe=L.bundle_recipes(bundle)
        output: L.bundle_outputs(bundle)
        params: program=bundle.stage
        log: f"results/logs/{bundle.stage}/{bundle.name}.log"
        shell: "{RUN}/{params.program}.py --recipe {input.recipe:q} > {log:q} 2>&1"
rule doubles:
    input: "params.yaml", L.targets("doubles", workflow)
ruleorder: fetch > fingerprint_code > measure > double > report
onstart: L.start(workflow)
onsuccess: L.stop()
onerror: L.stop()
"""
STAGES = {
    "fingerprint_code": '''
        """Write the fingerprint of the code that one stage runs."""
        import _path  # noqa
        from runledger import write_code_file
        from runledger.job import main

        def run(job):
            target = job.output(f"{job.id}.json")
            write_code_file(job.root, job.context.code_root, job.id, target)

        if __name__ == "__main__":
            main("fingerprint_code", run)
    ''',
    "measure": '''
        """Measure."""
        import _path  # noqa
        import time
        from toy.arithmetic import times
        from runledger.job import main

        def run(job):
            params = job.params["measure"][job.id]
            ends = time.time() + params["sleep"]
            woken = job.root / "results/.state/woken"
            job.stop_requested()
            while time.time() < ends and not woken.exists():
                time.sleep(0.02)
            value = times(params["value"], job.params["scale"])
            with open(job.root / "trained.log", "a") as log:
                log.write(f"{job.id}\\n")
            job.output("value.txt").write_text(f"{value}\\n")

        if __name__ == "__main__":
            main("measure", run)
    ''',
    "double": '''
        """Double."""
        import _path  # noqa
        from toy.arithmetic import times
        from runledger.job import main

        def run(job):
            value = int(job.input("measure").read_text())
            job.output("value.txt").write_text(f"{times(value, 2)}\\n")

        if __name__ == "__main__":
            main("double", run)
    ''',
    "report": '''
        """Report."""
        import _path  # noqa
        from runledger.job import main

        def run(job):
            lines = [job.params["report"]["title"]]
            for id, path in job.inputs("double"):
                lines.append(f"{id} {path.read_text().strip()}")
            text = "\\n".join(lines) + "\\n"
            job.output("report.txt").write_text(text, encoding="utf-8")

        if __name__ == "__main__":
            main("report", run)
    ''',
}
PATH = """\
import os, sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
"""
DVCIGNORE = "__pycache__\n.snakemake_timestamp\n/.snakemake\n/results/.state\n"
PROFILE = """\
rerun-triggers: [mtime]
max-checksum-file-size: 0
ignore-incomplete: true
nolock: true
logger: [runledger]
quiet: [reason]
"""
ARITHMETIC = '''\
"""Arithmetic."""


def times(a, b):
    """Multiply."""
    return a * b  # exact
'''


class Toy:
    """A checkout of the toy project."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RUNLEDGER_HEARTBEAT": "1",
            "HOME": str(self.root.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *command: str, check: bool = True) -> str:
        done = warm.run(command, self.root, self.environment(), timeout=300)
        if check and done.returncode:
            raise AssertionError(f"{command} exited {done.returncode}:\n{done.stdout}")
        self.code = done.returncode
        return done.stdout

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        return self.run("snakemake", "--cores", "2", *arguments, check=check)

    def start(self, *arguments: str) -> warm.Program:
        command = ("snakemake", "--cores", "3", *arguments)
        return warm.start(command, self.root, self.environment())

    def ledger(self, *arguments: str, check: bool = True) -> str:
        return self.run("python", "-m", "runledger", *arguments, check=check)

    def dvc(self, *arguments: str, check: bool = True) -> str:
        return self.run("dvc", *arguments, check=check)

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self, message: str = "results") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def wake(self) -> None:
        """Let measurements that sleep, and later ones, go on at once."""
        (self.root / "results/.state/woken").touch()

    def trained(self) -> list[str]:
        """Names of the measurements made so far, in order."""
        path = self.root / "trained.log"
        return path.read_text().split() if path.exists() else []

    def stale(self) -> set[str]:
        """Names of the instances that are not valid."""
        import json

        rows = json.loads(self.ledger("status", "--json", check=False))
        return {row["instance"] for row in rows if row["verdict"] == "stale"}

    def clone(self, name: str, *options: str) -> Toy:
        target = self.root.parent / name
        self.git("clone", "-q", *options, str(self.root), str(target))
        other = Toy(target)
        for key in ("user.email", "user.name"):
            other.git("config", key, "test@example.com")
        return other


def make_toy(root: Path) -> Toy:
    """Create the project in an empty folder and commit it."""
    files = {
        "params.yaml": PARAMS,
        "dvc.yaml": DVC,
        "data.txt": "1\n",
        ".gitattributes": "* -text\n",
        "stages/_path.py": PATH,
        "workflow/profiles/default/config.yaml": PROFILE,
        "workflow/Snakefile": SNAKEFILE,
        "src/toy/__init__.py": "",
        "src/toy/arithmetic.py": ARITHMETIC,
        ".gitignore": "results/measure\nresults/double\nresults/.state\n"
        "results/logs\nresults/recipes\n.snakemake\n__pycache__\ntrained.log\n",
    }
    for name, text in STAGES.items():
        files[f"stages/{name}.py"] = textwrap.dedent(text)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    toy = Toy(root)
    toy.git("init", "-q", "-b", "main")
    for key in ("user.email", "user.name"):
        toy.git("config", key, "test@example.com")
    toy.dvc("init", "-q")
    toy.dvc("config", "core.analytics", "false")
    (root / ".dvcignore").write_text(DVCIGNORE)
    toy.commit("toy project")
    return toy


def jobs_of(toy: Toy, *stages: str) -> list[int]:
    """Process ids of stage programs that run in a checkout, of all stages or these."""
    ends = tuple(f"/stages/{stage}.py".encode() for stage in stages)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")[:3]
            cwd = os.readlink(folder / "cwd")
        except OSError:
            continue  # it has ended, or is another user's
        runs = any(w.endswith(ends) if ends else b"/stages/" in w for w in words)
        if cwd == str(toy.root) and runs:
            found.append(int(folder.name))
    return found
