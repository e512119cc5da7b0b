"""Parts of a long measurement: each leaves a file, and none is done twice."""

from __future__ import annotations

import errno
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.gates import Gate
from bench.machine import slug
from bench.measure import NotHere, Row
from runledger import write_atomic
from runledger.errors import UserError

TRIES = 2  # a part that never came to an end so often is given up


class OutOfTime(Exception):
    """The piece is over; what was done is kept, and the next one goes on from it."""


@dataclass
class Outcome:
    """What a part found.

    Attributes:
        status: "done", "failed" or "left out".
        gates, rows: measured.
        values: other results, by name.
        note: why it failed or was left out, in words.
        seconds: that it took, in the piece that ended it.
    """

    status: str = "done"
    gates: list[Gate] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Part:
    """One thing to do, and how many seconds it may take on the machine it is for."""

    name: str
    seconds: float
    work: Callable[[], Outcome]


class Parts:
    """Runs parts in their order, within a time, and remembers what they found.

    Args:
        folder: keeps a file a part.
        seconds: of this piece. A part is begun if it may end in time, and the first of
            a piece in any case.
        say: shows a line.
    """

    def __init__(
        self, folder: Path, seconds: float, say: Callable[[str], None]
    ) -> None:
        self.folder, self.seconds, self.say = folder, seconds, say
        self._end = time.monotonic() + seconds
        folder.mkdir(parents=True, exist_ok=True)

    def left(self) -> float:
        """Seconds left of this piece."""
        return self._end - time.monotonic()

    def found(self, name: str) -> Outcome | None:
        """What a part found, in this piece or an earlier one."""
        try:
            values = json.loads(self._path(name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        values["gates"] = [Gate(**gate) for gate in values["gates"]]
        values["rows"] = [Row(**row) for row in values["rows"]]
        return Outcome(**values)

    def run(self, parts: list[Part], after: Callable[[], None]) -> bool:
        """Do what is not done yet; `after` is called after each part.

        Returns:
            Whether all parts have an outcome; False: run the same command again.

        Raises:
            UserError: the disk is full.
        """
        begun = False
        for part in parts:
            if self.found(part.name) is not None:
                continue
            if begun and self.left() < part.seconds:
                return False
            begun = True
            try:
                outcome = self._outcome(part)
            except OutOfTime:
                self._tried(part.name).unlink(missing_ok=True)
                return False
            self._keep(part.name, outcome)
            after()
        return True

    def _outcome(self, part: Part) -> Outcome:
        tried = self._tried(part.name)
        tries = int(tried.read_text("utf-8")) if tried.exists() else 0
        if tries >= TRIES:
            note = f"begun {tries} times and never ended: killed, or the device hung"
            return Outcome("failed", note=note)
        self._write(tried, str(tries + 1))
        self.say(f"{part.name} ...")
        start = time.monotonic()
        try:
            outcome = part.work()
        except OutOfTime:
            raise
        except NotHere as error:
            outcome = Outcome("left out", note=str(error))
        except torch.OutOfMemoryError as error:
            note = f"the GPU's memory is too small: {str(error).splitlines()[0]}"
            outcome = Outcome("failed", note=note)
        except OSError as error:
            _raise_if_full(error, self.folder)
            outcome = _failed(error)
        except Exception as error:
            outcome = _failed(error)
        outcome.seconds = round(time.monotonic() - start, 1)
        self.say(f"{part.name}: {outcome.status} {outcome.note.partition(chr(10))[0]}")
        for gate in outcome.gates:
            verdict = "passed" if gate.passed else "FAILED"
            self.say(f"  {verdict}  {gate.name}: {gate.error:.3g} < {gate.bound:.3g}")
        return outcome

    def _keep(self, name: str, outcome: Outcome) -> None:
        self._write(self._path(name), json.dumps(asdict(outcome), indent=1))
        self._tried(name).unlink(missing_ok=True)

    def _write(self, path: Path, text: str) -> None:
        try:
            write_atomic(path, text)
        except OSError as error:
            _raise_if_full(error, self.folder)
            raise

    def _path(self, name: str) -> Path:
        return self.folder / f"{slug(name)}.json"

    def _tried(self, name: str) -> Path:
        return self.folder / f"{slug(name)}.tries"


def _failed(error: Exception) -> Outcome:
    said = f"{type(error).__name__}: {error}"
    return Outcome("failed", note=f"{said}\n{traceback.format_exc()}")


def _raise_if_full(error: OSError, where: Path) -> None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise UserError(
            "the disk is full",
            str(where),
            "make room and run the same command again; what is done is kept",
        ) from None
