"""Before anything is submitted to a cluster: what would fail, and what is to run.

Each check looks only: it submits, downloads and writes nothing. What jobs ask is what
their rules say with ``JobResources``.
"""

from runledger.preflight.answers import FAIL, OK, WARN, Answer
from runledger.preflight.machine import check_cache, check_disk, check_git, check_remote
from runledger.preflight.plan import (
    StagePlan,
    disk_of,
    longest_jobs,
    packed_hours,
    plan_of,
    plan_text,
)
from runledger.preflight.report import report
from runledger.preflight.slurm import check_executor, check_partitions, check_slurm

__all__ = [
    "FAIL",
    "OK",
    "WARN",
    "Answer",
    "StagePlan",
    "check_cache",
    "check_disk",
    "check_executor",
    "check_git",
    "check_partitions",
    "check_remote",
    "check_slurm",
    "disk_of",
    "longest_jobs",
    "packed_hours",
    "plan_of",
    "plan_text",
    "report",
]
