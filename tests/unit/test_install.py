"""Setting up .venv: what is taken, what is left out, what is said when it cannot be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dash_repro import install
from runledger.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
CPU = (ROOT / "requirements-cpu.txt").read_text()
DEVELOPERS = (ROOT / install.DEVELOPERS).read_text()
UV = """#!/bin/sh
[ "$1" = --version ] && echo "uv 0.13.9 (of a test)" && exit
printf '%s\\n' "$*" >> uv.log
[ "$1" = venv ] || exit 0
mkdir -p .venv/bin .venv/lib/python3.11/site-packages
printf '#!/bin/sh\\n' > .venv/bin/python
chmod +x .venv/bin/python
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def pins(text: str) -> dict[str, str]:
    """{package: version} of a lock; of two for different Pythons, the last."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.M))


def test_cpu_lock_is_the_lock_with_torch_for_cpus_and_no_cuda() -> None:
    whole, made = pins(LOCK), pins(install.without_cuda(LOCK, CPU))
    gone = whole.keys() - made.keys()
    assert {"triton", "nvidia-cublas", "cuda-toolkit"} <= gone
    assert all(re.match(r"triton|nvidia-|cuda-", name) for name in gone), gone
    for name in ("torch", "torchvision"):
        assert made[name] == whole[name] + "+cpu"
    others = made.keys() - {"torch", "torchvision"}
    assert {n: made[n] for n in others} == {n: whole[n] for n in others}


def test_users_get_no_test_tools_and_each_package_is_pinned_once() -> None:
    tools = {"pytest", "pytest-xdist", "ruff", "snakefmt", "sphinx", "hatchling"}
    assert tools <= pins(DEVELOPERS).keys()
    assert pins(DEVELOPERS).keys() & pins(LOCK).keys() == set()


@pytest.mark.parametrize("target", ["setup", "demo", "audit", "lint", "test", "check"])
def test_only_what_needs_test_tools_adds_them(target: str) -> None:
    words = ["make", "-n", "-W", install.DEVELOPERS, target]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    adds = "dash_repro.install tools" in said.stdout
    assert adds == (target not in {"setup", "demo", "audit"})


def test_every_locked_package_has_hashes() -> None:
    made = install.without_cuda(LOCK, CPU) + DEVELOPERS
    for block in re.split(r"^(?=\S)", made, flags=re.M):
        if re.match(r"[\w.-]+==", block):
            assert "--hash=sha256:" in block, block
    for block in re.split(r"^(?=torch)", CPU, flags=re.M)[1:]:
        digests = re.findall(r"sha256:([0-9a-f]{64})\b", block)
        assert len(set(digests)) == 6  # three Pythons, two machines


def test_an_old_uv_on_the_path_gives_way_to_our_own(monkeypatch, tmp_path) -> None:
    old = program(tmp_path / "bin" / "uv", "#!/bin/sh\necho uv 0.4.30\n")
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    own = program(tmp_path / ".uv" / "bin" / "uv", UV)
    assert install.find_uv(tmp_path) == str(own)
    program(old, UV)
    assert install.find_uv(tmp_path) == str(old)


def test_a_virtual_environment_without_pip_asks_the_python_behind_it(
    monkeypatch, tmp_path
) -> None:
    """The python3 on the PATH is .venv's own when the lock is renewed; uv gives none
    of its environments a pip."""
    bare = program(tmp_path / "python3", "#!/bin/sh\nexit 1\n")
    behind = program(tmp_path / "behind", "#!/bin/sh\necho pip 23\n")
    monkeypatch.setattr(sys, "executable", str(bare))
    monkeypatch.setattr(sys, "_base_executable", str(behind))
    assert install._python_with_pip(tmp_path) == str(behind)


def test_neither_pip_nor_venv_is_said_with_the_package(monkeypatch, tmp_path) -> None:
    """Debian's python3 has neither."""
    bare = program(tmp_path / "python3", "#!/bin/sh\nexit 1\n")
    monkeypatch.setattr(sys, "executable", str(bare))
    monkeypatch.setattr(sys, "_base_executable", str(bare))
    with pytest.raises(UserError, match="apt-get install python3-venv"):
        install._python_with_pip(tmp_path)


def test_pips_mirror_is_handed_to_uv(monkeypatch) -> None:
    python = install._interpreters()[-1]
    monkeypatch.setenv("PIP_INDEX_URL", "http://localhost:1/simple")
    assert install.mirror(python) == "http://localhost:1/simple"
    assert install.mirror("/nonexistent/python") is None


def test_too_small_a_disk_is_said_before_the_download(monkeypatch, tmp_path) -> None:
    class Usage:
        free = 3e9

    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: Usage)
    install.check_disk(tmp_path, "cpu")
    with pytest.raises(UserError, match=r"7\.0 GB, and 3\.0 are free"):
        install.check_disk(tmp_path, "cuda")
    (tmp_path / ".venv/lib/python3.11/site-packages/torch").mkdir(parents=True)
    install.check_disk(tmp_path, "cuda")


@pytest.fixture
def checkout(monkeypatch, tmp_path) -> Path:
    """An empty checkout in a folder with a space, and a uv that only writes down."""
    root = tmp_path / "my repo"
    root.mkdir()
    for name, text in (("requirements.lock", LOCK), (install.CPU, CPU)):
        (root / name).write_text(text)
    bin = program(tmp_path / "bin" / "uv", UV).parent
    monkeypatch.setenv("PATH", f"{bin}:/usr/bin:/bin")
    monkeypatch.chdir(root)
    return root


def test_install_makes_syncs_finds_src_and_is_ready(checkout, capsys) -> None:
    assert install.main(["cuda", ".venv/.ready"]) == 0
    made, synced = (checkout / "uv.log").read_text().splitlines()
    assert made.startswith("venv ") and made.endswith(" .venv")
    assert "--require-hashes" in synced and synced.endswith(" requirements.lock")
    assert "--torch-backend" not in synced and "--compile-bytecode" in synced
    pth = checkout / ".venv/lib/python3.11/site-packages/dash-repro.pth"
    found = [(pth.parent / line).resolve() for line in pth.read_text().splitlines()]
    assert found == [checkout / "src", checkout / "runledger" / "src"]
    assert (checkout / ".venv/.ready").exists()
    program(checkout / ".venv/bin/python", '#!/bin/sh\necho "$@"\n')
    command = [checkout / ".venv/bin/dash-repro", "info", "a b"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "-m dash_repro info a b\n"

    assert install.main(["cpu", ".venv/.ready-cpu"]) == 0
    (synced,) = (checkout / "uv.log").read_text().splitlines()[2:]
    assert "--require-hashes --torch-backend cpu" in synced
    lock = checkout / synced.split()[-1]
    assert pins(lock.read_text())["torch"].endswith("+cpu")
    ready = [path.name for path in (checkout / ".venv").glob(".ready*")]
    assert ready == [".ready-cpu"]  # and make goes on with TORCH=cpu

    assert install.main(["tools", ".venv/.tools"]) == 0
    added = (checkout / "uv.log").read_text().splitlines()[3]
    assert added.startswith("pip install ")  # which removes nothing
    assert "--no-deps --require-hashes -r requirements-dev.lock" in added
    assert (checkout / ".venv/.tools").exists()


def test_a_failure_of_uv_is_one_message_and_nothing_is_ready(checkout, capsys) -> None:
    program(checkout.parent / "bin" / "uv", UV.replace("|| exit 0", "|| exit 2"))
    assert install.main(["cuda", ".venv/.ready"]) == 1
    said = capsys.readouterr().err
    assert "HTTPS_PROXY" in said and "TORCH=cuda" not in said
    assert install.main(["cpu", ".venv/.ready-cpu"]) == 1
    assert "make setup TORCH=cuda" in capsys.readouterr().err
    assert not (checkout / ".venv/.ready").exists()
    assert install.main(["metal", ".venv/.ready"]) == 1
    assert "TORCH=cpu" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["setup", "demo", "test"])
def test_the_first_command_says_that_it_needs_linux(command) -> None:
    """Elsewhere there is no such file."""
    root = Path(__file__).resolve().parents[2]
    words = ["make", command, "KERNEL=/no/such/file"]
    done = subprocess.run(words, cwd=root, capture_output=True)
    assert done.returncode == 2
    assert b"Linux is needed: use a container" in done.stderr
