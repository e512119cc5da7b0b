"""Random kill -9 of jobs, heads and transfers, again and again, on the toy project.

A kill comes at a random time, or right before a random change of the file system. After
each one everything is looked at by means of its own: what is called valid has the right
number, no record and none of its bytes is gone, no object is half. Then, mostly, the
same command again: it must go on to the end.

    python runledger/tests/kills.py --rounds 1000 --folder FOLDER

The same command goes on where it was stopped; --sweep kills before every single change
instead. Exit status 1: something was wrong or lost.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    HERE = Path(__file__).resolve().parent
    sys.path[:0] = [str(HERE.parent / "src"), str(HERE)]

import warm
import yaml
from toy import BIN, Toy, jobs_of, make_toy

from runledger.canonical import digest, pretty, write_once
from runledger.judge import Judge, Verdict
from runledger.presence import PRESENT, state_of
from runledger.project import load_pipeline
from runledger.records import Record
from runledger.store import Store, md5_file

IDS, PROGRESS = "abc", "progress.jsonl"
NUMBERS = {
    hashlib.md5(f"{n}\n".encode()).hexdigest(): n for n in range(20_000)
}  # what a file of one number has as its md5


class Bad(AssertionError):
    """Something was wrong, lost, or did not go on."""


@dataclass
class Command:
    """What is killed, and then repeated.

    Attributes:
        kind: head, job, push, pull, fetch or settle.
        toy: the checkout it runs in.
        words: as `warm.Program` takes them.
        seconds: a guess at how long it takes; learned.
    """

    kind: str
    toy: Toy
    words: list[str]

    def start(self, at: int | None = None) -> warm.Program:
        environment = self.toy.environment()
        if at is not None:
            environment[warm.KILL_AT] = str(at)
        return warm.Program(self.words, self.toy.root, environment)


@dataclass
class Lab:
    """A checkout, a clone of it, and the remote between them.

    Attributes:
        most, seconds: how many changes of the file system, and how much time, a kind of
            command takes at most; learned.
        checked, records: record files that were looked at, with what they say.
    """

    folder: Path
    most: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checked: dict[str, Record] = field(default_factory=dict)

    @property
    def toy(self) -> Toy:
        return Toy(self.folder / "project")

    @property
    def other(self) -> Toy:
        return Toy(self.folder / "other")

    @property
    def remote(self) -> Path:
        return self.folder / "lab"

    def set_up(self) -> None:
        """Make the checkout, run it once, share it, clone it."""
        (self.folder / "project").mkdir(parents=True)
        toy = make_toy(self.folder / "project")
        toy.dvc("remote", "add", "--default", "lab", str(self.remote))
        toy.snakemake()
        toy.commit()
        toy.ledger("push")
        toy.clone("other")
        self.other.ledger("pull")

    # commands

    def command(self, kind: str, rng: random.Random) -> Command:
        """Prepare a command of some kind: give it something to do."""
        if kind == "head":
            words = [str(BIN / "snakemake"), "--cores", "2", "--keep-going"]
            return Command(kind, self.toy, words)
        prepare = {
            "job": self._job,
            "push": self._push,
            "pull": self._pull,
            "fetch": self._fetch,
            "settle": self._settle,
        }
        return prepare[kind](rng)

    def _job(self, rng: random.Random) -> Command:
        """One or several measurements in a process, or what doubles one."""
        stage, ids = "measure", rng.sample(IDS, rng.choice([1, 1, 3]))
        verdict = judged(self.toy)[f"measure@{ids[0]}"]
        store = Store(self.toy.root)
        states = {state_of(self.toy.root, store, verdict, p) for p in verdict.outputs}
        if states == {PRESENT} and rng.random() < 0.4:
            stage, ids = "double", ids[:1]
        program = str(self.toy.root / f"stages/{stage}.py")
        return Command("job", self.toy, [program, *ids])

    def _push(self, rng: random.Random) -> Command:
        """The remote has lost some objects that the cache has."""
        kept = {path.name for path in objects(self.toy.root)}
        for path in named(self.remote / "files/md5"):
            if path.name in kept and rng.random() < 0.5:
                path.unlink()
        return Command("push", self.toy, ["-m", "runledger", "push"])

    def _settle(self, rng: random.Random) -> Command:
        """Some of what settling writes is gone."""
        for path in [self.toy.root / "dvc.lock", *self.toy.root.glob("results/code/*")]:
            if rng.random() < 0.4:
                path.unlink(missing_ok=True)
        return Command("settle", self.toy, ["-m", "runledger", "settle"])

    def _pull(self, rng: random.Random) -> Command:
        """In the clone: follow, and have lost some files and objects."""
        self.toy.git("add", "-A")
        self.toy.git("commit", "-q", "--allow-empty", "-m", "round")
        self.toy.ledger("push")
        other = self.other
        other.git("fetch", "-q", "origin", "main")
        other.git("reset", "-q", "--hard", "origin/main")
        for path in [*other.root.glob("results/*/*/value.txt"), *objects(other.root)]:
            if rng.random() < 0.6:
                path.unlink()
        return Command("pull", other, ["-m", "runledger", "pull"])

    def _fetch(self, rng: random.Random) -> Command:
        """One file of a valid instance is gone, perhaps from the cache, too."""
        toy, store = self.toy, Store(self.toy.root)
        known = [v for v in judged(toy).values() if v.valid and v.record]
        if not known:
            return self._settle(rng)
        verdict = rng.choice(known)
        (path,) = verdict.outputs
        md5 = verdict.outputs[path].md5
        (toy.root / path).unlink(missing_ok=True)
        kept = store.object_path(md5)
        if (self.remote / "files/md5" / md5[:2] / md5[2:]).exists() and kept.exists():
            kept.unlink()
        place = f"results/records/{verdict.instance.key_name}/{verdict.key}.json"
        ticket = {"path": path, "md5": md5, "record": place}
        file = toy.root / f"results/.state/tickets/{digest(ticket)}.json"
        write_once(file, pretty(ticket))
        words = ["-m", "runledger", "fetch", str(file.relative_to(toy.root))]
        return Command("fetch", toy, words)

    def edit(self, rng: random.Random) -> None:
        """Change some number in params.yaml."""
        path = self.toy.root / "params.yaml"
        text = path.read_text("utf-8")
        what = rng.choice(["scale", "value", "value", "title"])
        if what == "scale":
            text = re.sub(r"scale: \d+", f"scale: {rng.randint(1, 30)}", text)
        elif what == "title":
            text = re.sub(r"title: \w+", f"title: t{rng.randint(0, 99)}", text)
        else:
            id, value = rng.choice(IDS), rng.randint(1, 60)
            sleep = rng.choice([0, 0, 0.2, 0.5])
            line = f"{id}: {{value: {value}, sleep: {sleep}}}"
            text = re.sub(rf"{id}: \{{.*\}}", line, text)
        path.write_text(text, encoding="utf-8")

    # kills

    def kill(self, command: Command, rng: random.Random) -> dict[str, object]:
        """Run a command and kill it; says how, and whether the kill met it."""
        if (command.kind != "head" and rng.random() < 0.6) or rng.random() < 0.3:
            return self._kill_at_change(command, rng)
        return self._kill_at_time(command, rng)

    def _kill_at_change(self, command: Command, rng: random.Random) -> dict:
        most = self.most.get(command.kind, 200.0 if command.kind == "head" else 40.0)
        at = rng.randint(1, int(most))
        program = command.start(at)
        out, _ = program.communicate(timeout=600)
        met = program.returncode == -signal.SIGKILL
        if not met:
            self._must_have_ended(command, program.returncode, out)
        self.most[command.kind] = max(5.0, most * (1.05 if met else 0.9))
        return {"at": f"change {at}", "met": met}

    def _kill_at_time(self, command: Command, rng: random.Random) -> dict:
        span = self.seconds.get(command.kind, 2.0)
        after = rng.uniform(0, 1.1 * span)
        begun = time.monotonic()
        program = command.start()
        while time.monotonic() < begun + after and program.poll() is None:
            time.sleep(0.002)
        met = program.poll() is None
        victims = rng.choice(["job", "head", "both"]) if command.kind == "head" else ""
        if victims in ("job", "both"):
            for pid in jobs_of(command.toy)[: rng.randint(1, 3)]:
                kill(pid)
        if victims != "job":
            program.kill()
        out, _ = program.communicate(timeout=600)
        took = time.monotonic() - begun
        if not met:
            self._must_have_ended(command, program.returncode, out)
            self.seconds[command.kind] = 0.5 * span + 0.5 * took
        return {"at": f"{after:.3f} s", "met": met, "victims": victims}

    @staticmethod
    def _must_have_ended(command: Command, code: int, out: str) -> None:
        if code:
            raise Bad(f"{command.kind} failed without a kill ({code}):\n{out}")

    def again(self, command: Command) -> None:
        """The same command must go on to the end, and have done what it is for."""
        begun, program = time.monotonic(), command.start()
        out, _ = program.communicate(timeout=600)
        if program.returncode:
            raise Bad(f"{command.kind} does not go on:\n{out}")
        took = time.monotonic() - begun
        known = self.seconds.get(command.kind, took)
        self.seconds[command.kind] = 0.7 * known + 0.3 * took
        if command.kind == "head":
            self.whole(command.toy)
        elif command.kind == "job":
            stage, verdicts = Path(command.words[0]).stem, judged(command.toy)
            for name in (f"{stage}@{id}" for id in command.words[1:]):
                if not verdicts[name].valid:
                    raise Bad(f"{name} was made again and is not valid:\n{out}")
        elif command.kind == "pull":
            self.present(command.toy)
        elif command.kind == "push":
            self.pushed()

    # what must be true

    def whole(self, toy: Toy) -> None:
        """Everything is valid, and the report has the numbers of params.yaml."""
        stale = [name for name, verdict in judged(toy).items() if not verdict.valid]
        if stale:
            raise Bad(f"stale after a complete run: {stale}")
        text = toy.read("results/report/_/report.txt")
        if text != report(toy):
            raise Bad(f"the report is {text!r}, not {report(toy)!r}")

    def everywhere(self, toy: Toy) -> bool:
        """Whether all files of valid instances are in place."""
        try:
            self.present(toy)
        except Bad:
            return False
        return True

    def present(self, toy: Toy) -> None:
        """All files of valid instances are in place."""
        for verdict in judged(toy).values():
            for path in verdict.outputs if verdict.record else ():
                state = state_of(toy.root, Store(toy.root), verdict, path)
                if state != PRESENT:
                    raise Bad(f"{path} is {state} after a complete pull")

    def pushed(self) -> None:
        """The remote has the bytes of every record."""
        for name, record in self.checked.items():
            for path, out in record.outputs.items():
                if "inline" not in out and not self.on_remote(out["md5"]):
                    raise Bad(f"{name}: {path} is not on the remote after a push")

    def on_remote(self, md5: str) -> bool:
        return (self.remote / "files/md5" / md5[:2] / md5[2:]).is_file()

    def wrong(self) -> Iterator[str]:
        """What is called right and is not: verdicts, records, memories, objects."""
        for toy in (self.toy, self.other):
            where = toy.root.name
            for name, verdict in judged(toy).items():
                if verdict.valid and verdict.record:
                    yield from (f"{where}: {w}" for w in wrong_verdict(toy, verdict))
                if verdict.valid and not asks_for(toy, verdict):
                    yield f"{where}: {name} is valid for other params"
            for path in objects(toy.root):
                if md5_file(path) != path.parent.name + path.name:
                    yield f"{where}: the cache's {path.name} is not what it is named by"
            if (toy.root / "dvc.lock").exists():
                yaml.safe_load((toy.root / "dvc.lock").read_text("utf-8"))
        for path in named(self.remote / "files/md5"):
            if md5_file(path) != path.parent.name + path.name:
                yield f"the remote's {path.name} is not what it is named by"
        for path in sorted(self.toy.root.glob("results/records/*/*/*.json")):
            name = path.relative_to(self.toy.root).as_posix()
            if name not in self.checked:
                record = Record(**json.loads(path.read_text("utf-8")))
                if record.seal != record.content_seal():
                    yield f"{name} is not whole"
                elif not is_right(record):
                    yield f"{name} has the wrong number"
                self.checked[name] = record

    def lost(self) -> Iterator[str]:
        """Records that are gone, or whose bytes are nowhere."""
        store = Store(self.toy.root)
        for name, record in self.checked.items():
            if not (self.toy.root / name).exists():
                yield f"{name} is gone"
            for path, out in record.outputs.items():
                kept = "inline" in out or store.has(out["md5"])
                if not kept and not self.on_remote(out["md5"]):
                    yield f"{name}: the bytes of {path} are nowhere"

    def look(self) -> dict[str, list[str]]:
        """Everything that must be true after a kill, whatever it met."""
        return {"wrong": list(self.wrong()), "lost": list(self.lost())}

    def complete(self) -> None:
        """From time to time: finish everything, and ask DVC."""
        toy = self.toy
        toy.snakemake()
        self.whole(toy)
        if not self.everywhere(toy):  # a killed fetch of what nothing needs
            toy.ledger("pull")
        if "up to date" not in (out := toy.dvc("status")):
            raise Bad(f"dvc status after a complete run:\n{out}")
        self.again(self.command("push", random.Random(0)))
        self.again(self._pull(random.Random(0)))
        self.whole(self.other)
        leftover = [p for p in toy.root.rglob(".*.tmp") if "/.git/" not in str(p)]
        for path in leftover:  # a kill leaves drafts; they are hidden, and ignored
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def kill(pid: int) -> None:
    """Kill a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def named(folder: Path) -> list[Path]:
    """Objects of a cache or remote, drafts left out."""
    return [p for p in folder.glob("??/*") if not p.name.startswith(".")]


def objects(root: Path) -> list[Path]:
    """Objects of a checkout's cache."""
    return named(root / ".dvc/cache/files/md5")


def judged(toy: Toy) -> dict[str, Verdict]:
    """The verdicts on a checkout."""
    return Judge(toy.root, load_pipeline(toy.root)).judge()


def params_of(toy: Toy) -> dict:
    return yaml.safe_load(toy.read("params.yaml"))


def report(toy: Toy) -> str:
    """The report that the params ask for, computed here."""
    params = params_of(toy)
    lines = [params["report"]["title"]]
    for id in IDS:
        value = params["measure"][id]["value"] * params["scale"] * 2
        lines.append(f"{id} {value}")
    return "\n".join(lines) + "\n"


def asks_for(toy: Toy, verdict: Verdict) -> bool:
    """Whether a valid instance's record has the values that params.yaml has."""
    if verdict.record is None:
        return True
    params = params_of(toy)
    known = verdict.record.recipe["params"]
    for key, value in known.items():
        node = params
        for part in key.split("."):
            node = node[part]
        if node != value:
            return False
    return True


def is_right(record: Record) -> bool:
    """Whether a record's output is what its own params and inputs make."""
    params = record.recipe["params"]
    (out,) = record.outputs.values()
    if record.instance.startswith("measure"):
        (value,) = (v["value"] for k, v in params.items() if k != "scale")
        return NUMBERS[out["md5"]] == value * params["scale"]
    numbers = [NUMBERS[md5] for path, md5 in record.inputs.items() if "value" in path]
    if record.instance.startswith("double"):
        return NUMBERS[out["md5"]] == 2 * numbers[0]
    ids = [path.split("/")[2] for path in record.inputs if "value" in path]
    lines = [f"{id} {n}" for id, n in sorted(zip(ids, numbers, strict=True))]
    text = "\n".join([params["report"]["title"], *lines]) + "\n"
    return out["inline"] == text


def wrong_verdict(toy: Toy, verdict: Verdict) -> Iterator[str]:
    """Compare what is believed of a valid instance's files with their bytes."""
    store = Store(toy.root)
    for path, content in verdict.outputs.items():
        file = toy.root / path
        if not file.is_file():
            continue
        real = md5_file(file)
        if store.current(file).md5 != real:
            yield f"{path}: its hash is remembered wrongly"
        state = state_of(toy.root, store, verdict, path)
        if (state == PRESENT) != (real == content.md5):
            yield f"{path} is said to be {state}"


KINDS = ("head", "head", "job", "job", "push", "pull", "fetch", "settle")


def rounds(folder: Path, count: int, seed: int = 7) -> Iterator[dict]:
    """Kill `count` times in all, from where an earlier call stopped.

    Yields:
        What each round did, as it is written to progress.jsonl.

    Raises:
        Bad: something was wrong, lost, or did not go on; the folder shows it.
    """
    lab, progress = Lab(folder), folder / PROGRESS
    if not progress.exists():
        shutil.rmtree(folder, ignore_errors=True)
        lab.set_up()
        progress.touch()
    done = len(progress.read_text("utf-8").splitlines())
    for number in range(done, count):
        rng = random.Random(f"{seed}/{number}")
        row = {"round": number, **_round(lab, rng, number)}
        with open(progress, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        yield row
        if row["wrong"] or row["lost"]:
            raise Bad(json.dumps(row, indent=1))


def _round(lab: Lab, rng: random.Random, number: int) -> dict:
    if rng.random() < 0.4:
        lab.edit(rng)
    command = lab.command(rng.choice(KINDS), rng)
    row = {"kind": command.kind, **lab.kill(command, rng)}
    row |= lab.look()
    if row["wrong"] or row["lost"]:
        return row
    row["again"] = rng.random() < 0.6
    if row["again"]:
        lab.again(command)
        row |= lab.look()
    if number % 25 == 24:
        lab.complete()
        row |= lab.look()
    return row


def sweep(folder: Path, kind: str) -> int:
    """Kill a kind of command before each of its changes in turn; returns how many."""
    lab = Lab(folder)
    if not folder.exists():
        lab.set_up()
    for at in itertools.count(1):
        rng = random.Random(f"{kind}/{at}")
        if kind in ("head", "job"):
            lab.edit(rng)
        command = lab.command(kind, rng)
        program = command.start(at)
        out, _ = program.communicate(timeout=600)
        _refuse(lab.look())
        if program.returncode != -signal.SIGKILL:
            lab._must_have_ended(command, program.returncode, out)
            lab.complete()
            return at - 1
        lab.again(command)
        _refuse(lab.look())


def _refuse(found: dict[str, list[str]]) -> None:
    if found["wrong"] or found["lost"]:
        raise Bad(json.dumps(found, indent=1))


def figures(folder: Path) -> str:
    """Count what the rounds so far met."""
    lines = (folder / PROGRESS).read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    met = Counter(row["kind"] for row in rows if row["met"])
    wrong, lost = (sum(bool(row[word]) for row in rows) for word in ("wrong", "lost"))
    kinds = ", ".join(f"{kind} {n}" for kind, n in met.most_common())
    again = sum(row.get("again", False) for row in rows)
    return (
        f"{len(rows)} rounds, {met.total()} of them killed something ({kinds}); "
        f"{again} times the same command again; {wrong} wrong, {lost} lost"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args()
    try:
        for kind in sorted(set(KINDS)) if options.sweep else ():
            count = sweep(options.folder.resolve() / kind, kind)
            print(f"{kind}: killed before each of {count} changes; 0 wrong, 0 lost")
        if options.sweep:
            return 0
        for row in rounds(options.folder.resolve(), options.rounds, options.seed):
            if row["round"] % 25 == 24:
                print(figures(options.folder), flush=True)
    except (Bad, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(figures(options.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
