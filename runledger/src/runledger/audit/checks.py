"""Every check of the chain that needs no knowledge of tables."""

from __future__ import annotations

from runledger.audit.bytes import check_bytes
from runledger.audit.chain import Chain, Finding
from runledger.audit.history import check_git
from runledger.audit.records import (
    check_adopted,
    check_dropped,
    check_inputs,
    check_lock,
    check_present,
    check_records,
    check_verdicts,
)


def audit_chain(chain: Chain, ask_remote: bool = True) -> list[Finding]:
    """Run every check that needs no knowledge of tables."""
    findings = [
        *check_records(chain),
        *check_verdicts(chain),
        *check_inputs(chain),
        *check_present(chain),
        *check_bytes(chain, ask_remote),
        *check_lock(chain),
        *check_adopted(chain),
        *check_dropped(chain),
        *check_git(chain),
    ]
    return sorted(set(findings))
