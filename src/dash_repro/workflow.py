"""What the profile's ``config:`` says to the jobs, on a cluster too: by variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dash_repro.launch import VARIABLE, require_launch
from runledger.errors import UserError


def set_environment(config: Mapping[str, Any]) -> None:
    """Export how work is launched, and how often a training says how far it is.

    Raises:
        WorkflowError: there is no such way to launch.
    """
    if "launch" in config:
        try:
            name = require_launch(config["launch"], "launch in the profile's config")
        except UserError as error:
            from snakemake.exceptions import WorkflowError

            raise WorkflowError(str(error)) from None
        os.environ[VARIABLE] = name
    if "log_seconds" in config:
        os.environ.setdefault("DASH_LOG_SECONDS", str(config["log_seconds"]))
