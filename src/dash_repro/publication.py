"""A run published in this repository with its bytes: make it, publish it, check it.

A published run is a folder such as ``study``: ``code`` names the commit that made it;
``results`` and ``dvc.lock`` are what git tracks of its workspace; ``store`` is a DVC
remote with the bytes that are kept. Its params are ``config/<folder>.params.yaml`` of
that commit. Images and samples are not kept: they are made again where something needs
them.

All is done by the code of that commit, in workspaces inside the folder. So a published
run stays what it was while the checkout goes on, and nothing calls it stale.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from dash_repro.arrays import read_json
from dash_repro.install import PACKAGES
from dash_repro.workspace import commit
from runledger.errors import UserError
from runledger.git import GitError, git

# large, and made again where something needs it: images, samples and their features
NOT_KEPT = ("prepare_data", "generate_samples", "compute_metrics")
DRAWN = ("make_table", "plot_figure")
SAMPLED = ("generate_samples", "compute_metrics", "measure_calibration")
PROFILE = "workflow/profiles/demo"  # many small instances on one machine
LIMIT = 30 * 2**20  # bytes of a store: it lies in git
RUN, NOTHING = "run", "from-nothing"  # workspaces, which git ignores
CHECK, AGAIN = "check", "again"


@dataclass(frozen=True)
class Publication:
    """Where a run is published.

    Attributes:
        root: the checkout.
        name: of the folder in it, and of the params file in config.
    """

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def code(self) -> str:
        """The commit whose code made it.

        Raises:
            UserError: nothing is published, or this clone lacks the commit.
        """
        try:
            commit = (self.folder / "code").read_text(encoding="utf-8").strip()
        except OSError:
            raise UserError(
                "no run is published here",
                str(self.folder),
                f"make one: python -m dash_repro.publication run {self.name}",
            ) from None
        if not _has(self.root, commit):
            raise UserError(
                f"this clone lacks the commit {commit[:12]}, whose code made the run",
                str(self.folder / "code"),
                "bring the whole history: git fetch --unshallow",
            )
        return commit

    def workspace(self, target: Path, code: str) -> Path:
        """Make a workspace by the code of a commit; its own commit is reproducible."""
        with TemporaryDirectory() as folder:
            clone = Path(folder) / "checkout"
            _git(self.root, "clone", "-q", "--no-checkout", str(self.root), str(clone))
            _git(clone, "checkout", "-q", "--detach", code)
            params = f"config/{self.name}.params.yaml"
            _python(clone, "dash_repro.workspace", str(target), params)
        _git(target, "remote", "set-url", "origin", str(self.root))
        self.use_store(target)
        return target

    def use_store(self, target: Path) -> None:
        """Let a workspace's default DVC remote be the store."""
        add = ("remote", "add", "-q", "--local", "-d", "-f", "store", str(self.store))
        _python(target, "dvc", *add)

    def lay_over(self, target: Path) -> None:
        """Give a workspace what is published: records, metrics, tables, dvc.lock."""
        shutil.copytree(self.folder / "results", target / "results", dirs_exist_ok=True)
        shutil.copy2(self.folder / "dvc.lock", target / "dvc.lock")


def _git(root: Path, *arguments: str) -> str:
    try:
        return os.fsdecode(git(root, *arguments)).strip()
    except GitError as error:
        raise UserError(
            f"git {arguments[0]} failed: {error}", str(root), "mend the checkout"
        ) from None


def _has(root: Path, commit: str) -> bool:
    try:
        git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except GitError:
        return False
    return True


def _start(root: Path, module: str, *arguments: str, **options: Any) -> Any:
    """Run a module of a workspace's own code, in the workspace."""
    paths = [str(root / name) for name in PACKAGES]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=root, env=environment, **options)


def _python(root: Path, module: str, *arguments: str) -> str:
    """The output of a module that must succeed.

    Raises:
        UserError: it failed; says what it said.
    """
    done = _start(root, module, *arguments, capture_output=True, encoding="utf-8")
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise UserError(
            f"{module} {' '.join(arguments)} failed:\n{said}",
            str(root),
            "see what it says",
        )
    return done.stdout


# making and publishing


def run(publication: Publication, from_nothing: bool, arguments: list[str]) -> int:
    """Go on with a run, from what is published if this checkout never ran it.

    Args:
        publication: where it is published, or will be.
        from_nothing: without what is published; by its code, if something is.
        arguments: for snakemake.

    Returns:
        Snakemake's exit status.

    Raises:
        UserError: today's code is not committed, so no record could name it.
    """
    target = publication.folder / (NOTHING if from_nothing else RUN)
    if not target.exists():
        published = (publication.folder / "code").exists()
        publication.workspace(
            target, publication.code if published else _committed(publication)
        )
        if published and not from_nothing:
            publication.lay_over(target)
    return _start(target, "snakemake", *arguments).returncode


def _committed(publication: Publication) -> str:
    """The commit of the checkout, if that has all of its code."""
    ours = ("--", ".", f":!{publication.name}")
    if _git(publication.root, "status", "--porcelain", *ours):
        raise UserError(
            "there are changes that no commit has, and a published run's records "
            "must name a commit that has its code",
            str(publication.root),
            "commit them first",
        )
    return _git(publication.root, "rev-parse", "HEAD")


def publish(publication: Publication) -> str:
    """Copy what git tracks of the run's results, and send its bytes to the store.

    A run that is not finished can be published, too: it goes on from there elsewhere.

    Returns:
        What was published, in a sentence.

    Raises:
        UserError: there is no run, or its bytes are more than a store may hold.
    """
    source, folder = publication.folder / RUN, publication.folder
    if not source.exists():
        raise UserError("there is no run", str(source), "make one first")
    commits = _git(source, "rev-list", "HEAD").split()
    code = next(commit for commit in commits if _has(publication.root, commit))
    kept = [
        stage.name
        for stage in sorted((source / "results" / "records").iterdir())
        if stage.name not in NOT_KEPT
    ]
    publication.store.mkdir(parents=True, exist_ok=True)
    publication.use_store(source)
    _python(source, "runledger", "push", "--new", *_each("--stage", kept))
    tracked = ("ls-files", "-z", "-co", "--exclude-standard", "--", "results")
    names = [name for name in _git(source, *tracked).split("\0") if name]
    shutil.rmtree(folder / "results", ignore_errors=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, folder / name)
    shutil.copy2(source / "dvc.lock", folder / "dvc.lock")
    (folder / "code").write_text(f"{code}\n", encoding="utf-8")
    size = sum(p.stat().st_size for p in publication.store.rglob("*") if p.is_file())
    if size > LIMIT:
        raise UserError(
            f"the store has {size / 2**20:.1f} MiB, and git should not hold more than "
            f"{LIMIT / 2**20:.0f}",
            str(publication.store),
            "train fewer or smaller networks, or keep fewer stages",
        )
    return f"{len(names)} files and {size / 2**20:.1f} MiB, made by {code[:12]}"


def _each(option: str, values: list[str]) -> Iterator[str]:
    for value in values:
        yield from (option, value)


# checking


def check(publication: Publication, samples: str) -> Iterator[tuple[str, str, bool]]:
    """Bring a published run's bytes and see whether they are what is said of them.

    Args:
        publication: what to check.
        samples: the id of a set of samples that is made again, with its metrics.

    Yields:
        What was looked at, what was found, and whether it is as published.
    """
    target, code = publication.folder / CHECK, publication.code
    again = publication.folder / AGAIN
    for old in (target, again):
        shutil.rmtree(old, ignore_errors=True)
    publication.workspace(target, code)
    publication.lay_over(target)
    _git(target, "add", "-A")
    commit(target, "what is published")
    yield _bytes(target)
    done = _start(target, "snakemake", "-n", "--cores", "1", **TEXT)
    nothing = "Nothing to be done" in done.stdout + done.stderr
    yield "state", "nothing to be done" if nothing else done.stdout, nothing
    done = _start(target, "dash_repro.audit", **TEXT)
    yield "audit", done.stdout.strip().splitlines()[-1], done.returncode == 0
    yield from _again(target, again, samples)
    yield "code", _since(publication, target, code), True


TEXT: Mapping[str, Any] = {"capture_output": True, "encoding": "utf-8"}


def _bytes(target: Path) -> tuple[str, str, bool]:
    """Fetch what the store has; only what is not kept may be absent."""
    done = _start(target, "runledger", "pull", **TEXT)
    lines = done.stderr.splitlines()
    absent = [line for line in lines if line.startswith("missing: ")]
    lost = [line for line in absent if line.split("/")[1] not in NOT_KEPT]
    said = done.stdout.splitlines()[-1] if done.stdout else done.stderr
    if absent:
        said += f"; {len(absent)} files of images and samples are not kept"
    return "bytes", "\n".join([said, *lost]), not lost and bool(done.stdout)


def _again(target: Path, again: Path, samples: str) -> Iterator[tuple[str, str, bool]]:
    """Draw all and sample a student again, in a copy that lacks their records."""
    _git(target, "clone", "-q", str(target), str(again))
    shutil.copy2(target / ".dvc" / "config.local", again / ".dvc" / "config.local")
    cache = str(target / ".dvc" / "cache")
    _python(again, "dvc", "cache", "dir", "-q", "--local", cache)
    records = again / "results" / "records"
    made = {path: path.parent.name for path in records.glob("*/*/*.json")}
    parts = {
        "drawn": [path for path in made if path.parent.parent.name in DRAWN],
        "sampled": [
            path
            for path, id in made.items()
            if path.parent.parent.name in SAMPLED and f"{samples}-".startswith(f"{id}-")
        ],
    }
    before = {path: read_json(path) for paths in parts.values() for path in paths}
    for path in before:
        path.unlink()
    done = _start(again, "snakemake", "--profile", PROFILE, **TEXT)
    for what, paths in parts.items():
        missing = [path for path in paths if not path.exists()]
        if missing:
            yield what, done.stdout[-2000:] + done.stderr[-2000:], False
            continue
        pairs = [
            (before[path]["outputs"], read_json(path)["outputs"]) for path in paths
        ]
        other = [
            name
            for old, new in pairs
            for name in old
            if old[name]["md5"] != new[name]["md5"]
        ]
        count = sum(len(old) for old, _ in pairs)
        said = f"{count} files made again, {count - len(other)} of equal bytes"
        numbers = [line for old, new in pairs for line in _numbers(old, new)]
        yield what, "\n".join([said, *other, *numbers]), not other


def _numbers(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Each metric of a file as published and as it is now."""
    for name in old:
        if not name.endswith(("metrics.json", "calibration.json")):
            continue
        was, now = (numbers(json.loads(one[name]["inline"])) for one in (old, new))
        for key in was:
            yield f"{key}: published {was[key]:.6g}, now {now[key]:.6g}"


def numbers(value: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """{dotted key: number} of a tree; lists, such as curves, are left out."""
    found = {}
    for key, part in value.items():
        if isinstance(part, Mapping):
            found |= numbers(part, f"{prefix}{key}.")
        elif isinstance(part, float):
            found[prefix + key] = part
    return found


def _since(publication: Publication, target: Path, code: str) -> str:
    """Which modules of the run's records differ in the checkout, and how to go back."""
    paths = (target / "results" / "records").glob("*/*/*.json")
    modules = {name for path in paths for name in read_json(path)["code_modules"]}
    changed = _git(
        publication.root, "diff", "--name-only", code, "--", *sorted(modules)
    )
    date = _git(publication.root, "show", "-s", "--format=%cs", code)
    names = changed.split()
    said = f"made by commit {code[:12]} of {date}"
    if not names:
        return f"{said}; the checkout has the same {len(modules)} modules"
    return (
        f"{said}; {len(names)} of its {len(modules)} modules differ in the checkout "
        f"({', '.join(names)}). To have that code: git checkout {code[:12]}"
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make, publish and check a run that this repository holds with its bytes."""


@main.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.option("--from-nothing", is_flag=True, help="Without what is published.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_command(name: str, from_nothing: bool, arguments: tuple[str, ...]) -> int:
    """Go on with the run NAME; ARGUMENTS are for snakemake."""
    return run(Publication(Path.cwd(), name), from_nothing, [*arguments])


@main.command("publish")
@click.argument("name")
def publish_command(name: str) -> None:
    """Copy the results of the run NAME, finished or not, and its bytes to the store."""
    print(publish(Publication(Path.cwd(), name)))


@main.command("check")
@click.argument("name")
@click.option("--sampled", required=True, help="The samples to make again, by id.")
def check_command(name: str, sampled: str) -> int:
    """Fetch the published run NAME, verify, audit, draw and sample it again."""
    whole = True
    for what, found, good in check(Publication(Path.cwd(), name), sampled):
        said = found.replace("\n", "\n" + " " * 12)
        print(f"{what:10s}{'  ' if good else '! '}{said}", flush=True)
        whole &= good
    return 0 if whole else 1


if __name__ == "__main__":
    try:
        sys.exit(main.main(standalone_mode=False))
    except UserError as error:
        sys.exit(f"error: {error}")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
