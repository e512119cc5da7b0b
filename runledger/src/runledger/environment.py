"""What a run ran on: host, device, library versions, commit, uncommitted changes."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Any

from runledger.git import GitError, git
from runledger.legs import hostname, job_id
from runledger.project import code_folders, ledger_folder, settings

UNKNOWN = "unknown"
_SOURCES = ("workflow", "params.yaml")  # and code, where no setting says else
_MADE = ("dvc.yaml", "dvc.lock")
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", "HEAD")


def commit(root: Path) -> dict[str, str | None]:
    """Return the commit, and a digest of the uncommitted changes (None: clean).

    Files that git does not know count as changes, those that it ignores do not. Where
    git cannot say, both values are "unknown" and "git" says why.
    """
    table = settings(Path(root))
    if table.get("rules") == "all":  # all but what is made
        made = (*_MADE, ledger_folder(root))
        must, where = table["snakefile"], [".", *(f":(exclude){p}" for p in made)]
    else:
        sources = table.get("sources") or (*code_folders(root), *_SOURCES)
        must, where = "dvc.yaml", [*sources, "dvc.yaml"]
    try:
        head = git(root, "rev-parse", "--verify", "HEAD").decode().strip()
        git(root, "ls-files", "--error-unmatch", "--", must)
        changes = git(root, *_DIFF, "--", *where)
        new = git(root, "ls-files", "-z", "-o", "--exclude-standard", "--", *where)
        for name in filter(None, new.split(b"\0")):
            path = Path(root) / os.fsdecode(name)
            content = path.read_bytes() if path.is_file() else b""
            changes += name + hashlib.sha256(content).digest()
    except (GitError, OSError) as error:
        return {"commit": UNKNOWN, "uncommitted": UNKNOWN, "git": str(error)}
    changed = hashlib.sha256(changes).hexdigest()[:16] if changes else None
    return {"commit": head, "uncommitted": changed}


def provenance(run: Mapping[str, Any]) -> str:
    """Say in words at which commit a run was, and whether that is all there is to it.

    Args:
        run: the ``run`` of a record, or what ``commit`` returned.
    """
    head, changed = run.get("commit"), run.get("uncommitted")
    if head in (None, UNKNOWN):
        return f"commit unknown ({run.get('git') or 'it ran outside git'})"
    return f"commit {head} ({f'uncommitted changes {changed}' if changed else 'clean'})"


def warning(run: Mapping[str, Any]) -> str | None:
    """What to tell before a run whose records could not name a commit; else None."""
    if run["commit"] != UNKNOWN:
        return None
    return (
        f"git cannot say which commit this is: {run['git']}\n"
        '  Records of this run will say "unknown", and the audit will object to '
        "them.\n  what to do: mend it first (`git status` here says the same), "
        "or go on without"
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def device() -> str:
    """Name the device that computed: the GPU if torch was imported and uses one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return _processor()


def libraries(root: Path) -> dict[str, str]:
    """Return the versions of the project's named libraries that were imported."""
    named = settings(Path(root)).get("libraries", {})
    return {n: _version(n) for n, module in named.items() if module in sys.modules}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # another package has its module
        return UNKNOWN


def variables(root: Path) -> dict[str, str]:
    """Return the project's named environment variables (patterns) that are set."""
    patterns = settings(Path(root)).get("variables", [])
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def describe(root: Path) -> dict[str, Any]:
    """Describe where and with what this process runs."""
    job = job_id()
    return {
        "host": hostname(),
        "device": device(),
        "python": platform.python_version(),
        "libraries": libraries(root),
        "variables": variables(root),
        "job_id": job,
    }
