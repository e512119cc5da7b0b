"""Snakemake's logger plugin `runledger`: where a run is, in place of a wall of text.

Snakemake finds it by its name on sys.path. Only here is Snakemake's own code used; what
is shown is in runledger.display, imported once the Snakefile has said where that is.
"""

import os
import sys

from snakemake_interface_logger_plugins.base import LogHandlerBase

_OWN = {"all", "rules", "progress"}  # --quiet of these is Snakemake's business
_PROLOGUE = "Assuming unrestricted shared filesystem usage"


class LogHandler(LogHandlerBase):
    """Shows runs and dry runs; leaves everything else to Snakemake's own output.

    So it does when asked to (VERBOSE=1, --verbose, --quiet, --printshellcmds), and as
    soon as the display has an error: showing a run must never end it.
    """

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        from snakemake.logging import (
            ColorizingTextHandler,
            DefaultFilter,
            DefaultFormatter,
        )

        s = self.common_settings
        self._stream = sys.stdout if s.stdout else sys.stderr
        self._quiet = set(s.quiet or ())
        form = DefaultFormatter(self._quiet, s.show_failed_logs)
        flags = (s.debug_dag, s.verbose, s.dryrun, s.printshellcmds)
        self._usual = ColorizingTextHandler(
            s.nocolor, self._stream, form, DefaultFilter(self._quiet, *flags)
        )
        verbose = os.environ.get("VERBOSE", "") not in ("", "0")
        own = any(str(entry).lower() in _OWN for entry in map(_name, self._quiet))
        asked = s.verbose or s.printshellcmds or s.debug_dag
        self._wanted = not (verbose or own or asked)
        self._display = None

    def emit(self, record) -> None:
        """Show a record, or hand it to Snakemake's own handler."""
        try:
            if self._wanted and str(getattr(record, "event", "")) == "workflow_started":
                self._open()
            if self._display is not None:
                self._display.handle(record)
            elif not (self._wanted and str(record.msg).startswith(_PROLOGUE)):
                self._usual.handle(record)
        except Exception as error:
            self._give_up(error)

    def _open(self) -> None:
        from runledger.display.display import Display
        from runledger.display.screen import open_screen

        settings = self.common_settings
        screen = open_screen(
            self._stream, settings.nocolor, settings.dryrun, os.environ
        )
        self._display = Display(screen, settings.dryrun, self._give_up)

    def _give_up(self, error: BaseException) -> None:
        """Say once what went wrong, and go on with Snakemake's own output."""
        display, self._display, self._wanted = self._display, None, False
        for step in (
            lambda: display.screen.close() if display else None,
            lambda: self._stream.write(
                f"the display failed ({type(error).__name__}: {error}); the run goes "
                "on, with Snakemake's own output\n"
            ),
        ):
            try:
                step()
            except Exception:  # nobody is left to tell
                return

    def close(self) -> None:
        """Leave the terminal as it was found."""
        try:
            if self._display is not None:
                self._display.close()
        except Exception as error:
            self._give_up(error)
        super().close()


def _name(quietness) -> str:
    """The word of an entry of --quiet."""
    return getattr(quietness, "name", str(quietness))
