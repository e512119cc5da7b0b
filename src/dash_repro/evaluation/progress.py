"""How far a long evaluation is, as plain lines in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

# called with (done, in all) after each batch
Progress = Callable[[int, int], None]


class LogProgress:
    """Writes a line at most every so many seconds, and one at the end of each pass.

    Args:
        log: where to.
        unit: what is counted.
        every: seconds between lines.
    """

    def __init__(self, log: logging.Logger, unit: str, every: float = 10.0) -> None:
        self.log, self.unit, self.every = log, unit, every
        self._began = self._last = time.monotonic()
        self._done = 0

    def __call__(self, done: int, total: int) -> None:
        """Note that `done` of `total` are finished; a smaller `done` is a new pass."""
        now = time.monotonic()
        if done <= self._done:
            self._began = self._last
        self._done = done
        if done < total and now - self._last < self.every:
            return
        self._last = now
        rate = done / max(now - self._began, 1e-9)
        left = (total - done) / rate
        self.log.info(
            "%s %d/%d, %.1f a second, %.0f s left", self.unit, done, total, rate, left
        )
