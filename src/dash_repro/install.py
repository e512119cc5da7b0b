"""Sets up .venv from the lock files; what `make setup` runs before anything else.

Needs Python 3.11 and the standard library alone. uv does the work. It is taken from the
PATH or .uv, or comes by pip.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runledger.errors import UserError

OLDEST = (0, 6, 9)  # the first uv with --torch-backend in `uv pip sync`
CPU = "requirements-cpu.txt"
DEVELOPERS = "requirements-dev.lock"  # what tests, linters and the site need beside
PACKAGES = ("src", "runledger/src")  # folders on the import path
COMMAND = '#!/bin/sh\nexec "$(dirname "$0")/python" -m dash_repro "$@"\n'
CPU_INDEX = (
    ". Torch without CUDA comes from an index of PyTorch's own; where only PyPI can be "
    "reached: make setup TORCH=cuda"
)
GIGABYTES = {"cuda": 7.0, "cpu": 2.5}  # .venv, and what is unpacked on the way
WITH_CUDA = re.compile(r"torch|torchvision|triton|(nvidia|cuda)-.*")
# settings of the user's pip that do not go with --target
OUT_OF_PLACE = ("USER", "TARGET", "PREFIX", "ROOT", "REQUIRE_VIRTUALENV")


def _runs(*command: str) -> str | None:
    """Return what a program prints; None if it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return None
    return os.fsdecode(done.stdout) if done.returncode == 0 else None


def _interpreters() -> list[str]:
    """This Python, and the one behind it where this is a virtual environment's."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return list(dict.fromkeys((sys.executable, base)))


def version(program: str) -> tuple[int, ...]:
    """Return a uv's version; (0,) if it does not run."""
    found = re.search(r"\d+(\.\d+)+", _runs(program, "--version") or "")
    return tuple(map(int, found[0].split("."))) if found else (0,)


def find_uv(root: Path) -> str:
    """Return the program uv: of the PATH, of .uv, or brought into .uv by pip.

    Raises:
        UserError: there is neither, or pip cannot bring it.
    """
    own = root / ".uv" / "bin" / "uv"
    for program in (shutil.which("uv"), str(own)):
        if program and version(program) >= OLDEST:
            return program
    python = _python_with_pip(root)
    drop = {f"PIP_{name}" for name in OUT_OF_PLACE}
    environment = {key: text for key, text in os.environ.items() if key not in drop}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"}
    environment |= {"PIP_ROOT_USER_ACTION": "ignore"}
    command = [python, "-m", "pip", "install", "-q", "--upgrade", "--target", ".uv"]
    done = subprocess.run([*command, "uv"], cwd=root, env=environment, check=False)
    if done.returncode or version(str(own)) < OLDEST:
        raise UserError(
            "pip could not install uv, which sets up the environment",
            f"{python} -m pip",
            "see its message above; without a network, install uv yourself",
        )
    return str(own)


def _python_with_pip(root: Path) -> str:
    for python in _interpreters():
        if _runs(python, "-m", "pip", "--version"):
            return python
    python, place = _interpreters()[-1], root / ".uv" / "pip"
    if _runs(python, "-m", "venv", "--clear", str(place)) is None:
        raise UserError(
            "neither uv nor pip nor venv is there to set up the environment",
            python,
            "install one of them: apt-get install python3-venv (or python3-pip)",
        )
    return str(place / "bin" / "python")


def mirror(python: str) -> str | None:
    """Return the package index that pip is set to; uv does not read its settings."""
    listed = _runs(python, "-m", "pip", "config", "list") or ""
    found = re.findall(r"^(?:global|install|:env:)\.index-url='(.*)'$", listed, re.M)
    return found[-1] if found else None


def without_cuda(lock: str, cpu: str) -> str:
    """Return a lock in which torch is the build for CPUs, and its CUDA is left out.

    Args:
        lock: text of requirements.lock.
        cpu: text of requirements-cpu.txt.
    """
    blocks = re.split(r"^(?=\S)", lock, flags=re.M)
    kept = [b for b in blocks if not WITH_CUDA.fullmatch(re.split(r"[=\s]", b)[0])]
    return "".join(kept) + cpu


def check_disk(root: Path, torch: str) -> None:
    """Refuse to begin what cannot end.

    Raises:
        UserError: too little space for an environment that is not there yet.
    """
    free = shutil.disk_usage(root).free / 1e9
    there = list((root / ".venv").glob("lib/python*/site-packages/torch"))
    if free < GIGABYTES[torch] and not there:
        raise UserError(
            f"the environment needs {GIGABYTES[torch]:.1f} GB, and {free:.1f} are free",
            str(root),
            "make space; without a GPU, TORCH=cpu needs a third",
        )


def sync(root: Path, uv: str, torch: str, environment: Mapping[str, str]) -> None:
    """Bring .venv to what the lock says.

    Raises:
        UserError: uv fails; its own message is above.
    """
    python = root / ".venv" / "bin" / "python"
    quiet = () if sys.stderr.isatty() else ("-q",)
    commands = []
    if _runs(str(python), "-c", "") is None:
        base = _interpreters()[-1]
        commands.append([uv, "venv", *quiet, "--clear", "--python", base, ".venv"])
    lock, options = "requirements.lock", ["--require-hashes"]
    if torch == "cpu":
        texts = [(root / name).read_text("utf-8") for name in (lock, CPU)]
        lock, options = ".uv/requirements.lock", [*options, "--torch-backend", "cpu"]
        (root / lock).parent.mkdir(exist_ok=True)
        (root / lock).write_text(without_cuda(*texts), encoding="utf-8")
    into = ["--python", str(python.relative_to(root))]
    # compiled once here: with PYTHONDONTWRITEBYTECODE set, as in many containers, every
    # process would compile torch anew, ten seconds and more
    options.append("--compile-bytecode")
    commands.append([uv, "pip", "sync", *quiet, *into, *options, lock])
    _run(commands, root, environment)


def _run(commands: list[list[str]], root: Path, environment: Mapping[str, str]) -> None:
    for command in commands:
        if subprocess.run(command, cwd=root, env=environment, check=False).returncode:
            raise UserError(
                "the environment could not be set up",
                " ".join(command),
                "see the message above. Is there a network? A proxy is HTTPS_PROXY, "
                "another package index UV_DEFAULT_INDEX; repeat the same command, "
                "what was downloaded is kept" + (CPU_INDEX if "cpu" in command else ""),
            )


def find_src(root: Path) -> None:
    """Let programs of .venv find PACKAGES by paths that go along when the folder moves.

    And let a shell that has activated it find the command.
    """
    (packages,) = (root / ".venv").glob("lib/python3*/site-packages")
    lines = [os.path.relpath(root / top, packages) + "\n" for top in PACKAGES]
    (packages / "dash-repro.pth").write_text("".join(lines), encoding="utf-8")
    command = root / ".venv" / "bin" / "dash-repro"
    command.write_text(COMMAND, encoding="utf-8")
    command.chmod(0o755)


def add_tools(root: Path, ready: Path) -> None:
    """Add the tools of developers to a .venv that is set up; `ready` is touched last.

    Raises:
        UserError: uv fails; its own message is above.
    """
    print("adding the tools of the tests to .venv (30 MB to download)", flush=True)
    options = ["-q", "--python", ".venv/bin/python", "--no-deps", "--require-hashes"]
    command = [find_uv(root), "pip", "install", *options, "-r", DEVELOPERS]
    _run([command], root, _environment())
    ready.touch()


def _environment() -> dict[str, str]:
    """The environment of uv, which does not read pip's package index."""
    environment = dict(os.environ)
    if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environment.keys():
        index = mirror(_interpreters()[-1])
        environment |= {"UV_DEFAULT_INDEX": index} if index else {}
    return environment


def install(root: Path, torch: str, ready: Path) -> None:
    """Set up everything; `ready` is touched last.

    Raises:
        UserError: something is missing; says what to do.
    """
    if torch not in GIGABYTES:
        raise UserError(f"TORCH={torch} is not known", "make", "TORCH=cpu, TORCH=cuda")
    check_disk(root, torch)
    size = "3 GB to download, 6 on disk" if torch == "cuda" else "0.5 GB to download"
    print(f"setting up .venv (torch for {torch}: {size})", flush=True)
    if torch == "cuda" and not Path("/proc/driver/nvidia").exists():
        print("no NVIDIA GPU here: `make setup TORCH=cpu` takes less", flush=True)
    sync(root, find_uv(root), torch, _environment())
    find_src(root)
    for other in (root / ".venv").glob(".ready*"):
        other.unlink()
    ready.touch()


def main(arguments: list[str]) -> int:
    """``install WHAT READY`` in the checkout: cuda, cpu or tools, and a file."""
    what, ready = arguments[0], Path(arguments[1])
    try:
        if what == "tools":
            add_tools(Path.cwd(), ready)
        else:
            install(Path.cwd(), what, ready)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
