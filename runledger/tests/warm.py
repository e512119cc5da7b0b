"""Start snakemake, dvc and Python modules from a process that imported them before.

Importing snakemake takes 3 seconds of a core, a dry run of a small project then 0.3;
dvc is alike. One process a session imports both, and forks for each call. The
program is the real one: its own script, arguments, environment, folder, output, exit
status; what it starts itself starts as ever. Anything else is started as ever, too.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import importlib
import itertools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO


def _programs() -> Path:
    """The environment's programs, by a path that a shell takes as it is.

    Snakemake writes Python's path without quotes into `script:` and a cluster's jobs,
    and the checkout may lie in a folder with a space: then a link stands for it.
    """
    if shlex.quote(sys.executable) == sys.executable:
        return Path(sys.executable).parent
    folder = tempfile.mkdtemp(prefix="environment-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = Path(folder) / "link"
    link.symlink_to(sys.prefix)
    return link / "bin"


BIN = _programs()
KILL_AT = "WARM_KILL_AT"  # a program's variable: see _kill_at
CHANGES = {  # of the file system, as sys.audit names them
    *("os.rename", "os.remove", "os.link", "os.symlink", "os.mkdir", "os.rmdir"),
    *("os.utime", "os.chmod", "os.truncate"),
}
PRELOADED = """
snakemake.cli snakemake.api snakemake.report snakemake.report.html_reporter
snakemake_executor_plugin_slurm snakemake_executor_plugin_cluster_generic
networkx requests smart_open yte numpy jsonschema pydantic
dvc.cli.parser dvc.repo dvc.repo.metrics dvc.repo.params dvc.repo.plots dvc.repo.stage
dvc.repo.datasets dvc.repo.artifacts dvc.data_cloud dvc.cachemgr dvc.scm dvc.lock
dvc_data.hashfile.db.local dvc_data.hashfile.transfer fsspec.implementations.memory
"""


def run(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as subprocess.run does; output and errors in stdout."""
    program = start(command, cwd, env)
    try:
        out, _ = program.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        program.kill()
        raise
    return subprocess.CompletedProcess(command, program.returncode, out)


def start(
    command: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    output: int | None = None,
) -> subprocess.Popen[str] | Program:
    """Start a command in a session of its own.

    Args:
        command, cwd, env: as for subprocess.Popen.
        output: descriptor of a file for what it prints; None: a pipe to `communicate`.
    """
    name, *arguments = command
    if Path(name).name in ("snakemake", "dvc"):
        return Program([str(BIN / Path(name).name), *arguments], cwd, env, output)
    if Path(name).name == "python" and arguments[:1] == ["-m"]:
        return Program(arguments, cwd, env, output)
    return subprocess.Popen(
        [str(BIN / name) if (BIN / name).exists() else name, *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if output is None else output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


class Program:
    """A forked program; as much of subprocess.Popen as the tests use."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        output: int | None = None,
    ) -> None:
        self._printed: list[str] = []
        self._reader: threading.Thread | None = None
        if output is None:
            reading, writing = os.pipe()
            self._reader = threading.Thread(target=self._read, args=[reading])
            self._reader.daemon = True
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(_address())
        request = {"command": list(command), "cwd": str(cwd), "env": dict(env)}
        target = writing if output is None else output
        socket.send_fds(self._server, [b"."], [target])
        self._server.sendall(json.dumps(request).encode() + b"\n")
        self.pid = int(_line(self._server))
        self.returncode: int | None = None
        if self._reader:
            os.close(writing)
            self._reader.start()

    def _read(self, pipe: int) -> None:
        with open(pipe, encoding="utf-8", errors="replace") as file:
            self._printed.append(file.read())

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end (subprocess.TimeoutExpired); minus a signal's number."""
        if self.returncode is None:
            self._server.settimeout(timeout)
            try:
                self.returncode = int(_line(self._server))
            except TimeoutError:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
            self._server.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.001)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Return what it and all that it started printed, after their end."""
        assert self._reader is not None, "its output went to a file"
        self._reader.join(timeout)
        if self._reader.is_alive():
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        self.wait(timeout)
        return self._printed[0], None


def _line(connection: socket.socket) -> str:
    """Read up to a newline; what comes behind it stays unread."""
    text = b""
    while not text.endswith(b"\n"):
        byte = connection.recv(1)
        assert byte, "the process that starts programs is gone"
        text += byte
    return text.decode()


SESSION = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
_servers: dict[str, Path] = {}
_starting = threading.Lock()


def _address() -> str:
    """Return the socket of the process that forks; the first call starts it.

    All test processes of a session share one, which ends with the last of them. There
    is one for each mount namespace: its programs see the files that this process sees.
    """
    with _starting:
        world = os.readlink("/proc/thread-self/ns/mnt").strip("mnt:[]")
        if world not in _servers:
            folder = Path(tempfile.gettempdir()) / f"warm-{SESSION[:12]}-{world}"
            folder.mkdir(exist_ok=True)
            with open(folder / "starting", "w") as starting:
                fcntl.flock(starting, fcntl.LOCK_EX)
                _users.append(open(folder / "users", "w"))  # noqa: SIM115
                fcntl.flock(_users[-1], fcntl.LOCK_SH)
                if not (folder / "socket").exists():
                    _start_server(folder)
            _servers[world] = folder
        return str(_servers[world] / "socket")


_users: list[IO[str]] = []  # locked while this process lives, however it ends


def _start_server(folder: Path) -> None:
    own = subprocess.Popen(
        [str(BIN / "python"), __file__, str(folder)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    while not (folder / "socket").exists():
        assert own.poll() is None, "the process that starts programs ended"
        time.sleep(0.02)


# -- in the process that forks


def serve(folder: Path) -> None:
    """Import, listen, and fork for every connection, as long as there are users."""
    import gc
    import select

    for name in PRELOADED.split():
        with contextlib.suppress(ImportError):  # then the program imports it, or not
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, _reap)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/new")
    listener.listen(16)
    os.rename(f"{folder}/new", f"{folder}/socket")
    users = os.open(f"{folder}/users", os.O_RDONLY)
    while True:
        if not select.select([listener], [], [], 5.0)[0]:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            continue
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.close(users)
            _attend(connection)
        connection.close()
    shutil.rmtree(folder)


def _reap(*_: object) -> None:
    """Forget children that ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _attend(connection: socket.socket) -> None:
    """Fork the program, tell its pid, wait for it, tell its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, (output,), _, _ = socket.recv_fds(connection, 1, 1)
    request = json.loads(connection.makefile("r").readline())
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(request["command"], request["cwd"], request["env"], output)
    os.close(output)
    connection.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # nobody is interested any more
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(command: list[str], cwd: str, env: dict[str, str], output: int) -> None:
    """Take on a program's folder, environment and output, run it, and exit."""
    import random

    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, target)
    os.close(output)
    # those of the server may remember a file, which can do what a pipe cannot
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    random.seed()
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in env
    first = cwd if command[0] == "-m" else os.path.dirname(command[0])
    sys.path[:1] = [first, *filter(None, env.get("PYTHONPATH", "").split(":"))]
    if KILL_AT in env:
        _kill_at(int(env[KILL_AT]))
    code = 1
    try:
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ModuleNotFoundError):  # as Python does at its start
            importlib.import_module("sitecustomize")
        code = _execute(command)
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _kill_at(count: int) -> None:
    """Kill this process right before its n-th change of the file system."""
    left, own = itertools.count(count, -1), os.getpid()

    def hook(event: str, arguments: tuple) -> None:
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and next(left) == 1 and os.getpid() == own:
            os.kill(own, signal.SIGKILL)

    sys.addaudithook(hook)


def _execute(command: list[str]) -> int:
    """Run a script or "-m" module as Python does; return its exit status."""
    import runpy

    module = command[0] == "-m"
    sys.argv = command[1:] if module else command
    try:
        if module:
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
