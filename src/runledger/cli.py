"""Commands for people: status, why, plan, push, pull, settle, adopt, logs ..."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runledger.canonical import read_named
from runledger.dvclock import settle
from runledger.errors import UserError
from runledger.execution import failure
from runledger.judge import Judge, Verdict
from runledger.pipeline import CODE_STAGE, Pipeline
from runledger.presence import ABSENT, OTHER, PRESENT, WRONG, state_of
from runledger.project import load_pipeline
from runledger.projection import drifted, renew
from runledger.records import Record
from runledger.store import ReadingStore, Store


def _judged(root: Path) -> tuple[Pipeline, dict[str, Verdict]]:
    pipeline = load_pipeline(root)
    return pipeline, Judge(root, pipeline).judge()


def _bytes(root: Path, verdict: Verdict, verify: bool) -> str:
    """Say what is on disk: present, absent, or wrong (all bytes read if verify)."""
    if not verdict.outputs:
        return "-"
    store = ReadingStore(root) if verify else Store(root)
    states = {state_of(root, store, verdict, path) for path in verdict.outputs}
    order = (WRONG, ABSENT, OTHER, PRESENT)
    return next(state for state in order if state in states)


def tainted_by_adoption(
    pipeline: Pipeline, verdicts: dict[str, Verdict]
) -> dict[str, list[str]]:
    """Return {instance: adopted instances that it or its ancestry rests on}."""
    found: dict[str, set[str]] = {}
    for name, verdict in verdicts.items():
        mine = {name} if verdict.adopted else set()
        for dep in verdict.instance.deps:
            mine |= found.get(pipeline.producer.get(dep, ""), set())
        found[name] = mine
    return {name: sorted(names) for name, names in found.items() if names}


def status(root: Path, verify: bool = False) -> list[dict[str, Any]]:
    """Return one row an instance: verdict, bytes, reasons, adoption."""
    pipeline, verdicts = _judged(root)
    adopted = tainted_by_adoption(pipeline, verdicts)
    rows = []
    for name, verdict in verdicts.items():
        if verdict.instance.stage == CODE_STAGE:
            continue
        row: dict[str, Any] = {
            "instance": name,
            "verdict": "valid" if verdict.valid else "stale",
            "bytes": _bytes(root, verdict, verify),
            "reasons": verdict.reasons,
        }
        if verdict.valid and verdict.unread:
            row["not here"] = list(verdict.unread)
        failed = failure(root, name, verdict.frozen_digest)
        if failed is not None and not verdict.valid:
            row["failed"] = failed
        if name in adopted:
            row["adopted"] = adopted[name]
            if verdict.adopted:
                row["adoption"] = verdict.record.adopted
        rows.append(row)
    return rows


def _status(root: Path, options: argparse.Namespace) -> int:
    rows = status(root, options.verify)
    wrong = [row for row in rows if row["bytes"] == "wrong"]
    if options.json:
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


def _why(root: Path, options: argparse.Namespace) -> int:
    pipeline, verdicts = _judged(root)
    names = [pipeline.find(target).name for target in options.target]
    shown = names or [n for n, v in verdicts.items() if not v.valid]
    for name in shown:
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
    if not shown:
        print("everything is valid")
    return 0


def adopt(root: Path, target: str, reason: str) -> Record:
    """Accept an instance's existing bytes under today's recipe, visibly.

    The new record keeps the recipe that the bytes were really made with.

    Raises:
        UserError: no reason, nothing to adopt, bytes that no record knows, or an input
            that is not valid.
    """
    pipeline, verdicts = _judged(root)
    verdict = verdicts[pipeline.find(target).name]
    judge = Judge(root, pipeline)
    instance, where = verdict.instance, verdict.instance.name
    if not reason.strip():
        raise UserError("adopting needs a reason", where, 'give --reason "..."')
    if verdict.valid:
        raise UserError("it is valid already", where, "nothing to do")
    if verdict.key is None:
        raise UserError(
            f"its inputs are not settled: {'; '.join(verdict.reasons)}",
            where,
            "adopt or run those first",
        )
    present = {o.path: judge.store.current(root / o.path) for o in instance.outs}
    for record in reversed(judge.records.history(instance.stage, instance.id)):
        known = {path: out["md5"] for path, out in record.outputs.items()}
        if {p: c.md5 if c else None for p, c in present.items()} == known:
            break
    else:
        raise UserError(
            "no record of this instance made the bytes that are there",
            where,
            "bring the recorded bytes back (make pull) or run the stage",
        )
    new = Record(
        instance=where,
        key=verdict.key,
        recipe=verdict.frozen,
        inputs=verdict.inputs,
        code_modules=judge.code.modules(f"stages/{instance.stage}.py"),
        outputs=record.outputs,
        run=record.run,
        adopted={
            "reason": reason,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "made_with": (record.adopted or {}).get("made_with")
            or {"key": record.key, "recipe": record.recipe, "inputs": record.inputs},
            "differences": verdict.reasons,
        },
    )
    judge.records.write(instance, new)
    return new


def _adopt(root: Path, options: argparse.Namespace) -> int:
    record = adopt(root, options.instance, options.reason)
    print(f"adopted {record.instance}: {'; '.join(record.adopted['differences'])}")
    settle(root)
    return 0


def _settle(root: Path, options: argparse.Namespace) -> int:
    done = settle(root)
    if done["renewed"]:
        print(done["renewed"])
    print(
        f"dvc.lock: {done['valid']} valid instances from their records, "
        f"{done['kept']} outdated ones as they were"
    )
    for path in done["refused"]:
        print(f"not written, its bytes are not the record's: {path}")
    return 1 if done["refused"] else 0


def _plan(root: Path, options: argparse.Namespace) -> int:
    pipeline = load_pipeline(root)
    if options.check:
        stale = drifted(root, pipeline) is not None
        print("dvc.yaml is not what rules and params say: `make plan`") if stale else 0
        return int(stale)
    print(renew(root, pipeline) or "dvc.yaml is what rules and params say")
    return 0


def _push(root: Path, options: argparse.Namespace) -> int:
    from runledger.sharing import push

    done = push(root, options.remote, options.new)
    print(f"sent {done.moved} objects; the remote had {done.present}")
    if done.missing:
        for line in done.missing:
            print(f"missing: {line}", file=sys.stderr)
        print(
            f"not whole: {len(done.missing)} recorded objects are not on {done.where}; "
            "push from where they are, or make them again, or remove the records that "
            "name them (results/records)",
            file=sys.stderr,
        )
    return 1 if done.missing else 0


def _pull(root: Path, options: argparse.Namespace) -> int:
    from runledger.sharing import pull

    done = pull(root, options.target, options.remote)
    settle(root)  # so that DVC knows what is in place now
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
        print("no valid record here names bytes; records come with git: were")
        print("results/ and dvc.lock committed and pushed where they were made?")
    return 1 if done.missing else 0


def _fetch(root: Path, options: argparse.Namespace) -> int:
    from runledger.records import Records
    from runledger.sharing import fetch_file

    ticket = read_named(root / options.ticket, "a ticket")
    fetch_file(root, ticket["path"], Records(root).load(root / ticket["record"]))
    return 0


def _progress(root: Path, options: argparse.Namespace) -> int:
    from runledger.progress import queued, running, table

    rows = running(root)
    print(json.dumps(rows, indent=1) if options.json else table(rows))
    if not options.json and (line := queued(root)):
        print(line)
    return 0


def _logs(root: Path, options: argparse.Namespace) -> int:
    from runledger.progress import logs

    instance = load_pipeline(root).find(options.target)
    found = list(logs(root, instance))
    for what, path in found:
        print(f"{what}: {path.relative_to(root)}")
    if found and options.tail:
        print(f"--- the end of {found[0][1].relative_to(root)}")
        text = found[0][1].read_text(encoding="utf-8", errors="replace")
        print("\n".join(text.splitlines()[-options.tail :]))
    if not found:
        print(f"{instance.name} has no logs here: it has not run in this checkout")
    return 0


def _await(root: Path, options: argparse.Namespace) -> int:
    from runledger.queue import await_job

    await_job(root, options.job, options.recipe)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runledger", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Any, help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help)
        command.set_defaults(function=function)
        return command

    command = add("status", _status, "what is valid, stale, present, absent, adopted")
    command.add_argument("--json", action="store_true")
    command.add_argument("--verify", action="store_true", help="read the bytes")
    command = add("why", _why, "why instances are stale, old value and new")
    command.add_argument("target", nargs="*", help="instance, stage/id or output path")
    command = add("adopt", _adopt, "accept existing bytes after a harmless change")
    command.add_argument("instance")
    command.add_argument("--reason", required=True)
    add("settle", _settle, "write dvc.lock from the records (after a merge, too)")
    command = add("plan", _plan, "write dvc.yaml from the rules and params.yaml")
    command.add_argument("--check", action="store_true", help="only say if it drifted")
    command = add("push", _push, "send the bytes of every record")
    command.add_argument("--remote")
    command.add_argument(
        "--new", action="store_true", help="the remote is new or emptied: make it"
    )
    command = add("pull", _pull, "bring the bytes of valid instances")
    command.add_argument("target", nargs="*", help="only these and what they rest on")
    command.add_argument("--remote")
    command = add("fetch", _fetch, "put the file of a ticket in place (for the rule)")
    command.add_argument("ticket")
    command = add("progress", _progress, "what runs now and how far it is")
    command.add_argument("--json", action="store_true")
    command = add("logs", _logs, "where an instance's logs are, all legs")
    command.add_argument("target", help="instance, stage/id or output path")
    command.add_argument("--tail", type=int, default=15, help="lines of the log shown")
    command = add("await", _await, "wait for an earlier head's job (for the rule)")
    command.add_argument("job")
    command.add_argument("recipe", nargs="+")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command in the current folder; returns the exit status."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # a terminal may lack some letters
        stream.reconfigure(errors="backslashreplace")
    try:
        code = options.function(Path.cwd(), options)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # of `| head`; what is left to flush has no reader either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
