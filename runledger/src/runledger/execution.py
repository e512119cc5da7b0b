"""What jobs of one process share: the plan they were given, inputs, publishing."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runledger import environment
from runledger.canonical import (
    digest,
    disk_error,
    pretty,
    read_named,
    write_atomic,
)
from runledger.errors import UserError, printable
from runledger.fingerprint import Fingerprinter
from runledger.moving import make_plain, put_in_place, refuse_ignored
from runledger.pipeline import CODE_STAGE, Instance, split_name
from runledger.project import code_folders, ledger_path, program_of
from runledger.recipes import Recipe, known_of, of_verdict, read_recipe
from runledger.records import Record, Records
from runledger.sources import absent
from runledger.store import Digest, Store, hash_path, md5_text

VERDICTS = "RUNLEDGER_VERDICTS"  # set by the head for its jobs
CODE = "RUNLEDGER_CODE"  # folder of the code snapshot that its jobs run


class Context:
    """The checkout as the jobs of one process see it."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.store, self.records = Store(root), Records(root)
        self.code_root = self.root / os.environ.get(CODE, ".")
        self.code = Fingerprinter(self.code_root, code_folders(self.root))
        self.known: Mapping[str, Mapping[str, Any]] = {}
        self.commit: dict[str, Any] = {}

    def recipes(self, stage: str, ids: list[str], paths: list[str]) -> list[Recipe]:
        """Return the recipes of a command line.

        Raises:
            UserError: a Snakemake job without recipe, or recipes without the verdicts
                of a head; an unknown id.
        """
        verdicts = os.environ.get(VERDICTS)
        if verdicts and not paths:
            raise UserError(
                "a job without a frozen recipe does not run",
                program_of(self.root, stage),
                "let snakemake start it; by hand, unset " + VERDICTS,
            )
        if paths and not verdicts:
            raise UserError(
                "a frozen recipe runs only as a job that snakemake started",
                f"{program_of(self.root, stage)} --recipe {paths[0]}",
                "let snakemake start it; by hand, name instances instead of recipes",
            )
        if verdicts:
            content = read_named(self.root / verdicts, "the head's list of verdicts")
            self.known, self.commit = content["instances"], content["run"]
            return [read_recipe(self.root / path) for path in paths]
        from runledger.judge import Judge  # what follows reads all rules
        from runledger.project import load_pipeline

        pipeline = load_pipeline(self.root)
        judged = Judge(self.root, pipeline).judge()
        self.known = known_of(judged)
        self.commit = environment.commit(self.root)
        single = [""] if stage in pipeline.instances else []
        names = [f"{stage}/{id}" if id else stage for id in ids or single]
        return [of_verdict(judged[pipeline.find(n).name], pipeline) for n in names]

    def modules(self, instance: Instance) -> dict[str, str]:
        """Return {file: digest} of the code an instance runs."""
        stage = instance.id if instance.stage == CODE_STAGE else instance.stage
        return self.code.modules(program_of(self.root, stage))

    def check_code(self, instance: Instance, frozen: str) -> None:
        """Refuse to run code other than what was planned."""
        if digest(self.modules(instance)) != frozen:
            raise UserError(
                "the code changed since this job was planned",
                str(self.code_root / program_of(self.root, instance.stage)),
                "run snakemake again; it plans with the code as it is now",
            )

    def restore(self, record: Record) -> bool:
        """Put a record's outputs in place from record and cache; False if it cannot."""
        for path, out in record.outputs.items():
            target = self.root / path
            if "inline" in out:
                write_atomic(target, out["inline"])
            elif not self.store.restore(out["md5"], target):
                return False
        return True

    def _failure(self, instance: Instance) -> Path:
        return ledger_path(self.root, ".state", "failures", f"{instance.name}.json")

    def note_failure(self, recipe: Recipe, error: BaseException) -> None:
        """Keep why an instance failed, with the recipe that failed."""
        reason = printable(f"{type(error).__name__}: {error}", keep="\n")
        where = _origin(error, [self.code_root / top for top in self.code.roots])
        note = {"reason": reason, "where": where}  # may quote a file's name
        if isinstance(error, UserError):
            note = {"reason": error.what, "where": error.where}
            note["remedy"] = error.remedy
        note["frozen"] = recipe.frozen_digest
        write_atomic(self._failure(recipe.instance), pretty(note))

    def clear_failure(self, instance: Instance) -> None:
        """Delete the report of an earlier failure of the instance."""
        self._failure(instance).unlink(missing_ok=True)


def _origin(error: BaseException, tops: list[Path]) -> str:
    """Return the innermost file and line below the project's folders; "" if none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        for top in map(Path.resolve, tops):
            if path.is_relative_to(top):
                return f"{path.relative_to(top.parent)}, line {frame.lineno}"
    return ""


def failure_note(root: Path, name: str) -> dict[str, str] | None:
    """Return what is noted of an instance's last failure; None if it did not fail.

    Keys: reason, where, remedy (if the error has one), frozen (digest of the recipe).
    """
    path = ledger_path(root, ".state", "failures", f"{name}.json")
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):  # none, or cut short by a crash
        return None


def failure(root: Path, name: str, frozen: str) -> str | None:
    """Return why an instance failed with this very recipe; None if it did not."""
    known = failure_note(root, name)
    try:
        return known["reason"] if known["frozen"] == frozen else None
    except (KeyError, TypeError):
        return None


def inputs_of(context: Context, recipe: Recipe) -> dict[str, Digest]:
    """Return {path: digest} of all inputs but the code fingerprints, as they are now.

    Folders outside the checkout are not read again where size, times and inode of
    their files are those of the last look.

    Raises:
        UserError: an input is missing, or a folder is no data folder.
    """
    found: dict[str, Digest] = {}
    if recipe.instance.stage == CODE_STAGE:  # its sources are the recipe's code digest
        return found
    outside = recipe.outside
    for dep in recipe.instance.deps:
        if (recipe.producers.get(dep) or "").startswith(CODE_STAGE):
            continue
        path = context.root / dep
        if not path.exists() and dep in outside:
            raise absent(recipe.instance.name, dep, outside[dep])
        if not path.exists():
            raise UserError(
                "an input is missing", dep, "run snakemake, which makes or fetches it"
            )
        found[dep] = context.store.current(path) if dep in outside else hash_path(path)
    return found


def by_name(recipe: Recipe, found: Mapping[str, Digest]) -> dict[str, str]:
    """Return {name in the recipe: md5} of inputs."""
    names = recipe.outside
    return {names.get(dep, dep): content.md5 for dep, content in found.items()}


def uncounted_facts(recipe: Recipe, found: Mapping[str, Digest]) -> dict[str, Any]:
    """Say for the record what did not count, and where inputs lay that params place."""
    outside = {
        name: {"path": dep, "size": found[dep].size, "nfiles": found[dep].nfiles}
        for dep, name in recipe.outside.items()
    }
    facts = {"uncounted": dict(recipe.uncounted), "outside": outside}
    return {key: value for key, value in facts.items() if value}


def verify_inputs(context: Context, recipe: Recipe) -> dict[str, str]:
    """Hash every input and check it against the record of whoever made it.

    Returns:
        {name in the recipe: md5}.

    Raises:
        UserError: an input is missing, or is not what its producer recorded.
    """
    found = inputs_of(context, recipe)
    for dep, content in found.items():
        producer = recipe.producers.get(dep)
        if not _expected(context, recipe, dep, producer, content.md5):
            raise UserError(
                f"an input of {recipe.instance.name} is not what "
                f"{producer or 'the plan'} recorded (md5 {content.md5}); "
                "it is not used",
                dep,
                "run snakemake again: it replaces wrong bytes, or plans anew",
            )
    return by_name(recipe, found)


def _expected(
    context: Context, recipe: Recipe, dep: str, producer: str | None, md5: str
) -> bool:
    if producer is None:
        return recipe.sources.get(dep) == md5
    known = context.known[producer]
    if known["valid"]:
        return known["outputs"][dep] == md5
    return any(
        digest(record.recipe) == known["frozen"]
        and known["inputs"].items() <= record.inputs.items()
        and record.outputs[dep]["md5"] == md5
        for record in context.records.history(*split_name(producer))
    )


def publish(
    context: Context, instance: Instance, staging: Path | None
) -> dict[str, Any]:
    """Move finished outputs into cache and place; returns their record entries.

    Args:
        context, instance: whose outputs they are.
        staging: the folder that has them; None if they are written where they belong.

    Raises:
        UserError: an output was not written, or the disk is full.
    """
    outputs: dict[str, Any] = {}
    for out in instance.outs:
        source = _source(context, staging, out.path)
        if not os.path.lexists(source):
            raise UserError(
                f"{instance.name} did not write {source.name}",
                out.path,
                f"this is a bug in {program_of(context.root, instance.stage)}"
                if staging
                else "correct the command of the rule, or its output",
            )
        make_plain(source, out.path)
        refuse_ignored(context.root, source, out.path)
        content = hash_path(source)
        entry: dict[str, Any] = {"md5": content.md5, "size": content.size}
        if content.nfiles is not None:
            entry["nfiles"] = content.nfiles
            entry["files"] = dict(content.files)
        if out.cached:
            context.store.put(source, content)
        else:
            entry["inline"] = _inline(source, out.path)
        outputs[out.path] = entry
    for out in instance.outs:
        source = _source(context, staging, out.path)
        place(context, source, out.path, outputs[out.path])
    return outputs


def _source(context: Context, staging: Path | None, path: str) -> Path:
    return staging / Path(path).name if staging else context.root / path


def _inline(source: Path, path: str) -> str:
    """Return an output's bytes as the text that its record keeps, line ends and all."""
    if source.is_dir():
        raise UserError(
            "a folder cannot be kept in git",
            path,
            "remove in_git() from it in the rule (or `cache: false` in dvc.yaml), "
            "or let the stage write one file",
        )
    try:
        return source.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"an output that is kept in git is not UTF-8 text ({error})",
            path,
            "let the stage write UTF-8, or remove in_git() from it in the rule "
            "(or `cache: false` in dvc.yaml)",
        ) from None


def place(context: Context, source: Path, path: str, entry: Mapping[str, Any]) -> None:
    """Move one output to its path, and remember its hash.

    Where DVC links files to its cache (cache.type), it is the cache's object that gets
    there.
    """
    target, cached = context.root / path, "inline" not in entry
    linked = {"hardlink", "symlink"} & set(context.store.config.links)
    if cached and linked and context.store.restore(entry["md5"], target):
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source != target:
            put_in_place(source, target, source.parent)
    except OSError as error:
        raise disk_error(error, target) from error
    context.store.remember(target, Digest(entry["md5"], entry["size"]))


def write_code_file(root: Path, code_root: Path, stage: str, target: Path) -> str:
    """Write the fingerprint file of one stage (the stage program's whole work)."""
    from runledger.judge import code_text

    code = Fingerprinter(code_root, code_folders(root))
    text = code_text(code, stage, program_of(root, stage))
    write_atomic(target, text)
    return md5_text(text)
