"""What a run ran on: host, device, library versions, commit, uncommitted changes."""

from __future__ import annotations

import hashlib
import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from runledger.legs import job_id
from runledger.project import settings


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def commit(root: Path) -> dict[str, str | None]:
    """Return the commit, and a digest of the uncommitted changes (None: clean)."""
    head = _git(root, "rev-parse", "HEAD")
    folders = ["src", "stages", "workflow", "params.yaml", "dvc.yaml", "paper"]
    changes = _git(root, "diff", "HEAD", "--", *folders) if head else None
    changed = hashlib.sha256(changes.encode()).hexdigest()[:16] if changes else None
    return {"commit": head.strip() if head else None, "uncommitted": changed}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
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
    found = {}
    for name in settings(Path(root)).get("libraries", []):
        module = name.replace("-", "_").replace("clean_fid", "cleanfid")
        if (
            module in sys.modules
            or module.replace("scikit_learn", "sklearn") in sys.modules
        ):
            found[name] = metadata.version(name)
    return found


def describe(root: Path) -> dict[str, Any]:
    """Describe where and with what this process runs."""
    job = job_id()
    return {
        "host": socket.gethostname(),
        "device": device(),
        "python": platform.python_version(),
        "libraries": libraries(root),
        "job_id": job,
    }
