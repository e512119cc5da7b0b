"""Where a run is shown: the lower end of a terminal, or plain lines of a log."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import IO, Any, Protocol

from runledger.display.estimate import Estimate
from runledger.display.run import Run
from runledger.display.words import inside
from runledger.times import about, span

REPORT = "RUNLEDGER_REPORT"  # seconds between plain lines about the whole
_ROWS = 12  # jobs shown at most


class Screen(Protocol):
    """A place for lines that stay, and for the state of the run."""

    every: float  # seconds between calls of show

    def line(self, text: str, style: str = "") -> None:
        """Print text that stays."""

    def show(self, run: Run) -> None:
        """Show where the run is now."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


def open_screen(
    stream: IO[str], plain: bool, dryrun: bool, env: Mapping[str, str]
) -> Screen:
    """Return a live terminal, or plain lines where the stream is none or a dumb one."""
    dumb = env.get("TERM", "") in ("", "dumb", "unknown")
    if dryrun or dumb or not stream.isatty():
        return Lines(stream, float(env.get(REPORT, "30")), stamped=not dryrun)
    return Terminal(stream, plain)


def _speaks_unicode(env: Mapping[str, str]) -> bool:
    """Whether the user's locale is a UTF-8 one.

    Python itself sets LC_CTYPE to C.UTF-8 where the locale is plain C.
    """
    ctype = env.get("LC_CTYPE", "")
    words = (env.get("LC_ALL"), "" if ctype == "C.UTF-8" else ctype, env.get("LANG"))
    return "utf" in next((word for word in words if word), "").lower()


class Status:
    """Spells the state of a run; what it calls done never shrinks."""

    def __init__(self) -> None:
        self._most = 0.0

    def look(self, run: Run) -> tuple[float, str, str]:
        """Return the part that is done, the time left, and the jobs counted."""
        estimate = Estimate(run)
        ended = len(run.having("done"))
        self._most = max(self._most, estimate.fraction())
        seconds = estimate.seconds_left()
        left = (
            "time left not known yet" if seconds is None else f"{about(seconds)} left"
        )
        counts = [f"{ended} of {run.count} jobs done"]
        queued = sum(run.queued(task) for task in run.having("running"))
        for number, word in (
            (len(run.having("running")) - queued, "under way"),
            (queued, "in the queue"),
            (len(run.having("failed")), "failed"),
        ):
            counts += [f"{number} {word}"] if number else []
        return self._most, left, ", ".join(counts)


class Lines:
    """Plain lines, for logs: what ends at once, the whole every half minute."""

    def __init__(
        self, stream: IO[str], every: float = 30.0, stamped: bool = True
    ) -> None:
        self.stream, self.every, self.stamped = stream, every, stamped
        self._status = Status()

    def line(self, text: str, style: str = "") -> None:
        """Print text that stays, with the time of day."""
        encoding = self.stream.encoding or "ascii"
        stamp = f"{time.strftime('%H:%M:%S')}  " if self.stamped else ""
        safe = f"{stamp}{text}".encode(encoding, "replace").decode(encoding)
        self.stream.write(safe + "\n")
        self.stream.flush()

    def show(self, run: Run) -> None:
        """Print one line about the whole, and one for each job that runs."""
        done, left, counts = self._status.look(run)
        spent = span(run.clock() - run.began)
        self.line(f"{int(100 * done)}%, {left}; {counts}, {spent} so far")
        tasks = run.having("running")
        for task in tasks[:_ROWS]:
            words = [task.label, inside(task, run), span(run.seconds(task))]
            self.line("   " + "  ".join(word for word in words if word))
        if len(tasks) > _ROWS:
            self.line(f"   and {len(tasks) - _ROWS} more")

    def close(self) -> None:
        """Nothing to restore."""


class Terminal:
    """The lower lines of a terminal, redrawn every second; the rest scrolls above.

    The cursor stays visible, so that nothing has to be restored after a kill.
    """

    every = 1.0

    def __init__(self, stream: IO[str], plain: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        form = {"markup": False, "highlight": False, "emoji": False}
        form.update({"no_color": True} if plain else {})  # else NO_COLOR says
        self.console = Console(file=stream, force_terminal=True, **form)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self._status = Status()
        rich_text = _speaks_unicode(os.environ) and "utf" in self.console.encoding
        self._bar, self._cut = ("━─", "ellipsis") if rich_text else ("#.", "crop")

    def line(self, text: str, style: str = "") -> None:
        """Print text that stays, above the state of the run."""
        self.console.print(text, style=style or None, soft_wrap=True)

    def show(self, run: Run) -> None:
        """Redraw the state of the run."""
        self.live.update(self._drawn(run))
        if not self.live.is_started:
            self.live.start()
            self.console.show_cursor(True)
        self.live.refresh()

    def _drawn(self, run: Run) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        done, left, counts = self._status.look(run)
        elapsed = span(run.clock() - run.began)
        words = f" {int(100 * done):3d}%  {left}"
        width = max(self.console.width - len(words) - 1, 10)
        filled = int(done * width)
        bar = Text(self._bar[0] * filled, style="green", no_wrap=True)
        bar.append(self._bar[1] * (width - filled), style="dim")
        bar.append(words, style="bold")
        rows = Table.grid(padding=(0, 0, 0, 2), expand=True)
        rows.add_column(ratio=1, no_wrap=True, overflow=self._cut)
        rows.add_column(no_wrap=True)
        rows.add_column(no_wrap=True, justify="right", style="dim")
        tasks = run.having("running")
        most = min(_ROWS, max(self.console.height // 2 - 2, 1))
        for task in tasks[:most]:
            rows.add_row(
                *(Text(t) for t in (task.label, inside(task, run))),
                Text(span(run.seconds(task))),
            )
        if len(tasks) > most:
            rows.add_row(Text(f"and {len(tasks) - most} more"), Text(), Text())
        counted = Text(f"{counts}, {elapsed} so far", no_wrap=True, overflow=self._cut)
        return Group(bar, counted, rows)

    def close(self) -> None:
        """Remove the state of the run; what was printed stays."""
        self.live.update("")
        self.live.stop()
