"""Checks of a finished checkout: records, bytes, dvc.lock and git against each other.

Nothing here trusts what the jobs remembered: records are read raw, bytes are hashed
anew, and what could not be looked at is listed as such.
"""

from runledger.audit.chain import LEVELS, NOTICE, OBJECTION, UNCHECKED, Chain, Finding
from runledger.audit.checks import audit_chain
from runledger.audit.history import git

__all__ = [
    "LEVELS",
    "NOTICE",
    "OBJECTION",
    "UNCHECKED",
    "Chain",
    "Finding",
    "audit_chain",
    "git",
]
