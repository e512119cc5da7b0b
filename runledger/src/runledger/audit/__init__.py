"""Checks of a finished checkout: records, bytes, dvc.lock and git against each other.

Nothing here trusts what the jobs remembered: records are read raw, bytes are hashed
anew, and what could not be looked at is listed as such.
"""

from runledger.audit.chain import LEVELS, NOTICE, OBJECTION, UNCHECKED, Chain, Finding
from runledger.audit.checks import audit_chain
from runledger.audit.costs import (
    Cost,
    cost,
    costs_by_stage,
    on_gpu,
    run_seconds,
)
from runledger.audit.crate import write_crate
from runledger.audit.crate_files import About, check_crate
from runledger.audit.history import git
from runledger.audit.picture import draw_stages

__all__ = [
    "LEVELS",
    "NOTICE",
    "OBJECTION",
    "UNCHECKED",
    "About",
    "Chain",
    "Cost",
    "Finding",
    "audit_chain",
    "check_crate",
    "cost",
    "costs_by_stage",
    "draw_stages",
    "git",
    "on_gpu",
    "run_seconds",
    "write_crate",
]
