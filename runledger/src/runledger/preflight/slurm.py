"""What Slurm itself says of a site, before anything is submitted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from runledger.preflight.answers import FAIL, OK, WARN, Answer, output_of
from runledger.resources import Site

EXECUTOR = "snakemake-executor-plugin-slurm"
LEAST = (2, 7, 1)  # earlier ones ran GPU jobs twice
LOOKS = 240  # s: it looks at the queue every 180 s at the latest, and squeue takes time


def check_executor() -> Iterator[Answer]:
    """Check that Snakemake's executor for Slurm is installed."""
    try:
        version = metadata.version(EXECUTOR)
    except metadata.PackageNotFoundError:
        yield Answer(FAIL, "executor", f"{EXECUTOR} is not installed: add it")
        return
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    good = numbers >= LEAST
    text = f"{EXECUTOR} {version}"
    yield Answer(OK if good else FAIL, "executor", text if good else f"{text}: < 2.7.1")


def check_slurm(
    profile: Mapping[str, Any], file: str = "the profile"
) -> Iterator[Answer]:
    """Controller, accounting, and the status command that goes with it.

    Args:
        profile: the settings that jobs are submitted with.
        file: where they are, for what is to be done.
    """
    config = output_of("scontrol", "show", "config")
    if config is None:
        yield Answer(FAIL, "slurm", "scontrol does not answer: not a login node?")
        return
    values = dict(re.findall(r"^(\S+)\s+=\s+(.*)$", config, re.M))
    yield Answer(OK, "slurm", f"version {values.get('SLURM_VERSION', '?')}")
    accounting = "none" not in values.get("AccountingStorageType", "none")
    chosen = profile.get("slurm-status-command", "sacct")
    wanted = "sacct" if accounting else "squeue"
    text = f"accounting {'on' if accounting else 'off'}; slurm-status-command: {chosen}"
    if chosen == "sacct" and not accounting:
        text += f": set it to squeue in {file}, or the head waits forever"
    yield Answer(OK if chosen == wanted or accounting else FAIL, "status", text)
    age = int(re.findall(r"\d+", values.get("MinJobAge", "0"))[0])
    if chosen == "squeue" and age < LOOKS:
        text = f"squeue forgets ended jobs after {age} s (MinJobAge): one that "
        text += f"the head misses is waited for without end; ask for {LOOKS} or more"
        yield Answer(WARN, "status", text)
    if values.get("JobRequeue") == "0":
        text = "JobRequeue=0; the profile asks with --requeue, which usually suffices"
        yield Answer(WARN, "requeue", text)


def check_partitions(
    site: Site, longest: Mapping[bool, float], file: str = "the site's settings"
) -> Iterator[Answer]:
    """Partitions, their limits and GPUs against what jobs ask.

    Args:
        site: the cluster.
        longest: minutes of the longest job, {True: with GPU, False: without}.
        file: where the site's settings are, for what is to be done.
    """
    text = output_of("sinfo", "-h", "-o", "%P|%l|%G|%D|%a")
    if text is None:
        yield Answer(FAIL, "partitions", "sinfo does not answer")
        return
    rows = [line.split("|") for line in text.splitlines()]
    for gpu, key in ((True, "partition"), (False, "cpu_partition")):
        wanted = site[key]
        mine = [
            row
            for row in rows
            if row[0].rstrip("*") == wanted or (not wanted and row[0].endswith("*"))
        ]
        what = f"{key} {wanted or '(default)'}"
        if not mine:
            names = ", ".join(sorted({row[0].rstrip("*") for row in rows}))
            yield Answer(FAIL, key, f"{what} does not exist; there are {names}")
            continue
        limit = max(minutes(row[1]) for row in mine)
        yield from _limits(site, what, key, limit, longest.get(gpu, 0.0), file)
        if gpu:
            yield from _gpus(site, what, mine)


def _limits(
    site: Site, what: str, key: str, limit: float, longest: float, file: str
) -> Iterator[Answer]:
    asked = min(longest, site["max_minutes"])
    text = f"{what}: limit {limit:.0f} min, longest job asks {asked:.0f} min"
    if asked > limit:
        text += f"; set max_minutes: {limit:.0f} in {file} (jobs go on in legs)"
    yield Answer(FAIL if asked > limit else OK, key, text)
    if longest > asked:
        legs = longest / max(asked - site["warning_seconds"] / 60, 1)
        yield Answer(OK, "legs", f"longest training: about {legs:.0f} legs")


def _gpus(site: Site, what: str, mine: list[list[str]]) -> Iterator[Answer]:
    found = sorted({row[2] for row in mine if "gpu" in row[2]})
    if not found:
        yield Answer(FAIL, "gpu", f"{what} has no GPUs that Slurm knows of (gres)")
    elif site["gpu_model"] and not any(site["gpu_model"] in row for row in found):
        text = f"no {site['gpu_model']} in {what}; there are {', '.join(found)}"
        yield Answer(FAIL, "gpu", text)
    else:
        yield Answer(OK, "gpu", f"{what}: {', '.join(found)}")


def minutes(limit: str) -> float:
    """Minutes of a Slurm time limit ("1-00:00:00", "30:00", "infinite")."""
    if not limit[:1].isdigit():
        return float("inf")
    days, _, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    hours, mins, secs = ([0] * (3 - len(parts)) + parts)[:3]
    return int(days or 0) * 1440 + hours * 60 + mins + secs / 60
