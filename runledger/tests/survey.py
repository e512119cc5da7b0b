"""A toy project that reads a folder outside its checkout: path and mirror do not count.

prelude     a file that survey waits for; with EDIT set, it edits params.yaml
survey      lists the images below <path>/train; with TOUCH set, it changes one
summary     how many there are (text in git)
"""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import yaml
from toy import Toy, make_toy

DVC = """\
stages:
  fingerprint_code:
    foreach: [prelude, survey, summary]
    do:
      cmd: python stages/fingerprint_code.py ${item}
      deps: [src, stages]
      outs:
        - results/code/${item}.json: {cache: false}
  prelude:
    cmd: python stages/prelude.py
    deps: [results/code/prelude.json]
    outs: [results/prelude/_/ready.txt]
  survey:
    foreach: [all]
    do:
      cmd: python stages/survey.py ${item}
      deps:
        - results/code/survey.json
        - results/prelude/_/ready.txt
        - ${survey.path}/train
      params: [survey.unit]
      meta: {uncounted: [survey.path, survey.mirror]}
      outs: [results/survey/all/list.txt]
  summary:
    cmd: python stages/summary.py
    deps: [results/code/summary.json, results/survey/all/list.txt]
    params: [summary.title]
    meta: {uncounted: [summary.style]}
    outs:
      - results/summary/_/summary.txt: {cache: false}
"""
SNAKEFILE = """\
from pathlib import Path
from runledger.bundles import Sizes
from runledger.smk import Ledger
L = Ledger(
    Path.cwd(), workflow.is_main_process, {"all": (("summary",), None)}, Sizes({}, {})
)
PYTHON = L.python(workflow)
RUN = f"{PYTHON} {L.code}/stages"
rule all:
    input: "params.yaml", L.targets("all", workflow)
rule fingerprint_code:
    input: unpack(L.needs("fingerprint_code", "{id}"))
    output: "results/code/{id}.json"
    shell: "{RUN}/fingerprint_code.py --recipe {input.recipe}"
rule fetch:
    input: L.ticket
    output: "{path}"
    wildcard_constraints: path=L.fetchable()
    shell: "{PYTHON} -m runledger fetch {input}"
rule prelude:
    input: unpack(L.needs("prelude", ""))
    output: "results/prelude/_/ready.txt"
    shell: "{RUN}/prelude.py --recipe {input.recipe}"
rule survey:
    input: unpack(L.needs("survey", "{id}", deps=L.deps("survey", "{id}")))
    output: "results/survey/{id}/list.txt"
    shell: "{RUN}/survey.py --recipe {input.recipe}"
rule summary:
    input: unpack(L.needs("summary", "", deps=L.deps("summary", "")))
    output: "results/summary/_/summary.txt"
    shell: "{RUN}/summary.py --recipe {input.recipe}"
ruleorder: fetch > fingerprint_code > prelude > survey > summary
onstart: L.start(workflow)
onsuccess: L.stop()
onerror: L.stop()
"""
STAGES = {
    "prelude": """
        import _path  # noqa
        import os
        from runledger.job import main

        def run(job):
            job.output("ready.txt").write_text("ready\\n")
            if "EDIT" in os.environ:
                params = job.root / "params.yaml"
                text = params.read_text().replace("path: ", "path: /nowhere")
                params.write_text(text.replace("mirror: ", "mirror: other"))

        if __name__ == "__main__":
            main("prelude", run)
    """,
    "survey": """
        import _path  # noqa
        import os
        from pathlib import Path
        from runledger.job import main

        def run(job):
            block = job.params["survey"]
            folder = Path(block["path"]) / "train"
            job.log.info("mirror %s", block["mirror"])
            found = sorted(folder.rglob("*.png"))
            lines = [f"{p.relative_to(folder)} {p.read_text()}" for p in found]
            job.output("list.txt").write_text(block["unit"] + "".join(lines))
            with open(job.root / "trained.log", "a") as log:
                log.write("survey\\n")
            if "TOUCH" in os.environ:
                found[0].write_text("other\\n")

        if __name__ == "__main__":
            main("survey", run)
    """,
    "summary": """
        import _path  # noqa
        from runledger.job import main

        def run(job):
            count = job.input("survey").read_text().count(".png")
            text = f"{job.params['summary']['title']} {count}\\n"
            job.output("summary.txt").write_text(text)

        if __name__ == "__main__":
            main("summary", run)
    """,
}


class Survey(Toy):
    """A checkout of the project; its data lie beside it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.extra: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self.extra}

    @property
    def photos(self) -> Path:
        return self.root.parent / "my phötos (2)"

    def set(self, section: str, key: str, value: object) -> None:
        """Set a key of params.yaml."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params[section][key] = value
        path.write_text(yaml.safe_dump(params, allow_unicode=True, width=1000))

    def survey_clone(self, parent: Path) -> Survey:
        """Clone, to a place beside which there are no data."""
        parent.mkdir()
        other = Survey(parent / "project")
        self.git("clone", "-q", str(self.root), str(other.root))
        other.git("config", "user.email", "test@example.com")
        other.git("config", "user.name", "test")
        return other


def add_photos(folder: Path) -> None:
    """Write six images of two classes, and what else lies in such folders."""
    for name, text in {
        "train/cats/1.png": "1\n",
        "train/cats/2.png": "2\n",
        "train/cats/ünï cödé.png": "3\n",
        "train/dogs/big/4.png": "4\n",
        "train/dogs/5.png": "5\n",
        "train/.DS_Store": "hidden\n",
        "train/.git/HEAD": "ignored in a checkout, not here\n",
        "train/__pycache__/x": "likewise\n",
        "notes.txt": "not read\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "train" / "empty").mkdir()
    (folder.parent / "sixth.png").write_text("6\n")
    (folder / "train" / "dogs" / "6.png").symlink_to("../../../sixth.png")


def make_survey(root: Path) -> Survey:
    """Create the project in an empty folder, its data beside it, and commit it."""
    make_toy(root)
    made = Survey(root)
    add_photos(made.photos)
    shutil.rmtree(root / "stages")
    for name, text in STAGES.items():
        path = root / "stages" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    made.git("checkout", "--", "stages/_path.py", "stages/fingerprint_code.py")
    (root / "dvc.yaml").write_text(DVC)
    (root / "workflow" / "Snakefile").write_text(SNAKEFILE)
    (root / ".gitignore").write_text(
        "results/prelude\nresults/survey\nresults/.state\nresults/logs\n"
        "results/recipes\n.snakemake\n__pycache__\ntrained.log\n"
    )
    params = {
        "survey": {"path": str(made.photos), "mirror": "http://a", "unit": "m\n"},
        "summary": {"title": "images", "style": "plain"},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True))
    made.commit("survey project")
    return made
