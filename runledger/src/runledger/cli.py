"""Commands for people: status, why, plan, push, pull, settle, adopt, logs ..."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import click

from runledger.canonical import read_named
from runledger.commandline import SETTINGS, Group
from runledger.dvclock import settle as write_lock
from runledger.judge import Judge
from runledger.presence import OTHER, WRONG, state_of
from runledger.project import load_pipeline, settings
from runledger.store import Store


@click.group(cls=Group, context_settings=SETTINGS, help=__doc__)
@click.pass_context
def main(context: click.Context) -> None:
    context.obj = Path.cwd()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verify", is_flag=True, help="Read the bytes.")
@click.pass_obj
def status(root: Path, as_json: bool, verify: bool) -> int:
    """What is valid, stale, present, absent, adopted."""
    from runledger.status import status

    rows = status(root, verify)
    wrong = [row for row in rows if row["bytes"] == "wrong"]
    if as_json:
        print(json.dumps(rows, indent=1))
        return 1 if wrong else 0
    counts: dict[str, Counter] = {}
    for row in rows:
        stage = row["instance"].partition("@")[0].partition("-")[0]
        state = f"{row['verdict']} {row['bytes']}".removesuffix(" -")
        counts.setdefault(stage, Counter())[state] += 1
    for stage, states in counts.items():
        listed = ", ".join(
            f"{count} {state}" for state, count in sorted(states.items())
        )
        print(f"{stage:22s} {listed}")
    for row in rows:
        if row["bytes"] == "wrong":
            print(f"wrong bytes: {row['instance']}")
        if "not here" in row:
            where = ", ".join(row["not here"])
            print(f"taken as recorded: {row['instance']}: {where} is not here")
        if "failed" in row:
            print(f"failed: {row['instance']}: {row['failed']}")
        if "adoption" in row:
            print(f"adopted: {row['instance']}: {row['adoption']['reason']}")
        elif "adopted" in row:
            print(f"rests on adopted bytes: {row['instance']} <- {row['adopted']}")
    return 1 if wrong else 0


@main.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.pass_obj
def why(root: Path, targets: tuple[str, ...]) -> int:
    """Why instances are stale, old value and new.

    TARGET is an instance, stage/id, a pattern such as 'fit/*-s42' or an
    output's path; without, each edit is shown once, with what it makes stale.
    """
    from runledger.display.reasons import reasons

    pipeline = load_pipeline(root)
    names = [name for target in targets for name in pipeline.matching(target)]
    verdicts = Judge(root, pipeline).judge()
    if not names:
        stale = [name for name, verdict in verdicts.items() if not verdict.valid]
        print(reasons(stale, verdicts, pipeline.trainings) or "everything is valid")
    for name in names:
        verdict = verdicts[name]
        if verdict.valid:
            print(f"{name}: valid, record {verdict.key}")
            for path in verdict.outputs:
                state = state_of(root, Store(root), verdict, path)
                if state in (OTHER, WRONG):
                    whose = "no" if state == WRONG else "another"
                    print(f"  {path}: bytes of {whose} record; they are not used")
            continue
        print(f"{name}: stale")
        for reason in verdict.reasons:
            print(f"  {reason}")
    return 0


@main.command()
@click.argument("instance")
@click.option("--reason", required=True)
@click.pass_obj
def adopt(root: Path, instance: str, reason: str) -> None:
    """Accept existing bytes after a harmless change."""
    from runledger.adoption import adopt

    record = adopt(root, instance, reason)
    print(f"adopted {record.instance}: {'; '.join(record.adopted['differences'])}")
    write_lock(root)


@main.command()
@click.pass_obj
def settle(root: Path) -> int:
    """Write dvc.lock from the records (after a merge, too)."""
    done = write_lock(root)
    if done["renewed"]:
        print(done["renewed"])
    print(
        f"dvc.lock: {done['valid']} valid instances from their records, "
        f"{done['kept']} outdated ones as they were"
    )
    for path in done["refused"]:
        print(f"not written, its bytes are not the record's: {path}")
    return 1 if done["refused"] else 0


@main.command()
@click.option("--check", is_flag=True, help="Only say if it drifted.")
@click.pass_obj
def plan(root: Path, check: bool) -> int:
    """Write dvc.yaml from the rules and params.yaml."""
    from runledger.projection import drifted, renew

    pipeline = load_pipeline(root)
    if check:
        stale = drifted(root, pipeline) is not None
        if stale:
            print("dvc.yaml is not what rules and params say: run")
            print("python -m runledger plan")
        return int(stale)
    print(renew(root, pipeline) or "dvc.yaml is what rules and params say")
    return 0


@main.command()
@click.option("--remote")
@click.option("--new", is_flag=True, help="The remote is new or emptied: make it.")
@click.option(
    "--without",
    metavar="PATTERN",
    multiple=True,
    help="Do not send outputs whose paths match (* and ?).",
)
@click.pass_obj
def push(root: Path, remote: str | None, new: bool, without: tuple[str, ...]) -> int:
    """Send the bytes of every record."""
    from runledger.sharing import push

    done = push(root, remote, new, without)
    print(f"sent {done.moved} objects; the remote had {done.present}")
    if done.missing:
        for line in done.missing:
            print(f"missing: {line}", file=sys.stderr)
        print(
            f"not whole: {len(done.missing)} recorded objects are not on {done.where}; "
            "push from where they are, or make them again, or remove the records that "
            "name them (the folder `records`)",
            file=sys.stderr,
        )
    return 1 if done.missing else 0


@main.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--remote")
@click.pass_obj
def pull(root: Path, targets: tuple[str, ...], remote: str | None) -> int:
    """Bring the bytes of valid instances: of targets, and what they rest on; or all."""
    from runledger.sharing import pull

    done = pull(root, targets, remote)
    write_lock(root)  # so that DVC knows what is in place now
    print(f"fetched {done.moved} objects; {done.present} were in the cache")
    if done.missing:
        for line in done.missing:
            print(f"missing: {line}", file=sys.stderr)
        print(
            f"not whole: {len(done.missing)} of {done.files} files are missing; push "
            "them from where they are, or run snakemake, which makes them again",
            file=sys.stderr,
        )
    elif done.files:
        print(f"all {done.files} files of valid instances are in place")
    else:
        print("no valid record here names bytes; records come with git: were they")
        print("and dvc.lock committed and pushed where they were made?")
    return 1 if done.missing else 0


@main.command()
@click.argument("ticket")
@click.pass_obj
def fetch(root: Path, ticket: str) -> None:
    """Put the file of a ticket in place (for the rule)."""
    from runledger.records import Records
    from runledger.sharing import fetch_file

    wanted = read_named(root / ticket, "a ticket")
    fetch_file(root, wanted["path"], Records(root).load(root / wanted["record"]))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def progress(root: Path, as_json: bool) -> None:
    """What runs now and how far it is."""
    from runledger.progress import queued, running, table

    rows, shown = running(root), settings(root).get("progress", ())
    print(json.dumps(rows, indent=1) if as_json else table(rows, shown))
    if not as_json and (line := queued(root)):
        print(line)


@main.command()
@click.argument("target")
@click.option("--tail", default=15, help="Lines of the log shown.", show_default=True)
@click.pass_obj
def logs(root: Path, target: str, tail: int) -> None:
    """Where an instance's logs are, all legs."""
    from runledger.progress import logs

    instance = load_pipeline(root).find(target)
    found = list(logs(root, instance))
    for what, path in found:
        print(f"{what}: {path.relative_to(root)}")
    if found and tail:
        print(f"--- the end of {found[0][1].relative_to(root)}")
        text = found[0][1].read_text(encoding="utf-8", errors="replace")
        print("\n".join(text.splitlines()[-tail:]))
    if not found:
        print(f"{instance.name} has no logs here: it has not run in this checkout")


@main.command()
@click.argument("target")
@click.option("--recipe", default="", help="Digest of the recipe that dvc.yaml has.")
@click.pass_obj
def run(root: Path, target: str, recipe: str) -> int:
    """Make one instance by its rule's own command (for DVC).

    TARGET is an instance or an output's path; its inputs must be there.
    """
    from runledger.workflows.running import run

    return run(root, target, recipe)


@main.command()
@click.option("--offline", is_flag=True, help="Do not ask the remote.")
@click.pass_obj
def audit(root: Path, offline: bool) -> int:
    """Check records, bytes, dvc.lock and git against each other; writes nothing."""
    from runledger.audit import OBJECTION, Chain, audit_chain

    findings = audit_chain(Chain(root), ask_remote=not offline)
    for one in findings:
        print(f"{one.level}: {one.kind}: {one.subject}: {one.detail}")
    objections = sum(one.level == OBJECTION for one in findings)
    print(f"{objections} objections" if objections else "no objections")
    return int(bool(objections))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("params", type=click.Path(path_type=Path))
@click.pass_obj
def workspace(root: Path, folder: Path, params: Path) -> None:
    """Make FOLDER, a checkout of the same code with PARAMS as its params.yaml."""
    from runledger.canonical import read_text
    from runledger.workspace import make_workspace

    print(make_workspace(root, folder, read_text(params), str(params)))


@main.command()
@click.pass_obj
def costs(root: Path) -> None:
    """What the runs behind today's results took: time, devices, by stage."""
    from runledger.audit import Chain
    from runledger.audit.costs import table

    print(table(Chain(root)))


@main.command()
@click.pass_obj
def dag(root: Path) -> None:
    """Print the stages as SVG: what reads what, how many runs are valid, their time."""
    from runledger.audit import Chain, draw_stages

    print(draw_stages(Chain(root)))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only compare its files with its hashes.")
@click.option("--license", help="Of the workflow, as in SPDX's list, such as MIT.")
@click.pass_obj
def crate(root: Path, folder: Path, check: bool, license: str | None) -> int:
    """Write a Workflow Run RO-Crate of a finished run to FOLDER."""
    from runledger.audit import About, check_crate, write_crate

    if not check:
        about = About(license=(license, license) if license else None)
        print(write_crate(root, folder, about))
        return 0
    wrong = check_crate(folder)
    print(f"{len(wrong)} files are not what the crate says", *wrong, sep="\n  ")
    return 1 if wrong else 0


@main.command()
@click.option("--snakefile", help="Where it is, if not where Snakemake looks.")
@click.pass_obj
def init(root: Path, snakefile: str | None) -> None:
    """Have all rules of a Snakemake workflow recorded from now on."""
    from runledger.workflows.setup import set_up

    print("\n".join(set_up(root, snakefile)))


@main.command("await")
@click.argument("job")
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@click.pass_obj
def await_(root: Path, job: str, recipes: tuple[str, ...]) -> None:
    """Wait for an earlier head's job (for the rule)."""
    from runledger.queue import await_job

    await_job(root, job, recipes)
