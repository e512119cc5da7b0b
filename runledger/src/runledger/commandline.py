"""Commands that tell errors as people want to read them."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import click

from runledger.errors import UserError

__all__ = ["SETTINGS", "Group"]

SETTINGS = {"help_option_names": ["-h", "--help"]}


class Group(click.Group):
    """Commands whose return value, if any, is the exit status.

    An error that a user can act on is one message, with exit status 1.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        for stream in (sys.stdout, sys.stderr):  # a terminal may lack some letters
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            code = 1
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            code = 128 + signal.SIGINT
        except BrokenPipeError:  # of `| head`; what is left to flush has no reader
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 128 + signal.SIGPIPE
        ctx.exit(code or 0)
