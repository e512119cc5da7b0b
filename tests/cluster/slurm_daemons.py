"""A real Slurm on this machine: munged, slurmctld, one slurmd, two stand-in GPUs.

Its configuration has to lie in /etc/slurm. The process that starts it, and all that it
starts from then on, see a folder of their own there (a mount namespace): several can
run at a time, and a Slurm that the machine belongs to is left alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

ETC = Path("/etc/slurm")
SBIN = "/usr/sbin"
NAMESPACE = 0x00020000  # CLONE_NEWNS of unshare(2)
CONFIG = """\
ClusterName=dashtest
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/slurmd
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
ReturnToService=2
SlurmdParameters=config_overrides
MinJobAge=3600
MaxJobCount=10000
SlurmctldTimeout=20
SlurmdTimeout=8
KillWait=10
InactiveLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2
PartitionName=main Nodes={host} Default=YES MaxTime=60 PriorityTier=1 State=UP
PartitionName=urgent Nodes={host} MaxTime=60 PriorityTier=10 GraceTime=15 State=UP
"""
GRES = """\
NodeName={host} Name=gpu File=/dev/null
NodeName={host} Name=gpu File=/dev/zero
"""


class SlurmNotStarted(RuntimeError):
    """Slurm cannot be started here, and why."""


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: it did not become true; says what.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:g} s still not: {what}")
        time.sleep(0.2)


class Slurm:
    """The daemons, by process id, and what tests ask of them."""

    def __init__(self, folder: Path, cpus: int = 4) -> None:
        self.folder, self.cpus, self.ports = Path(folder), cpus, free_ports(2)
        self.host = socket.gethostname().split(".")[0]
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        """Start everything.

        Raises:
            SlurmNotStarted: not installed, no right to mount, a daemon that ended.
        """
        for name in ("munged", "slurmctld", "slurmd"):
            if not Path(SBIN, name).exists():
                raise SlurmNotStarted(f"{name} is missing: apt-get install slurm-wlm")
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        for name in ("ctld", "slurmd"):
            (self.folder / name).mkdir()
        self._own_etc()
        self._write_config()
        self._munged()
        self._daemon("slurmctld", "-D", "-i")
        self.start_slurmd()
        wait_for(lambda: "idle" in self.sinfo(), 120, "the node is idle")

    def _own_etc(self) -> None:
        """Let this process and its children see a folder of ours as /etc/slurm."""
        libc, own = ctypes.CDLL(None, use_errno=True), self.folder / "etc"
        own.mkdir()
        if libc.unshare(NAMESPACE):
            raise SlurmNotStarted(f"unshare: {os.strerror(ctypes.get_errno())}")
        ETC.mkdir(exist_ok=True)
        private = ("mount", "--make-rprivate", "/")
        for command in (private, ("mount", "--bind", str(own), str(ETC))):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SlurmNotStarted(done.stderr)

    def _write_config(self, **changes: object) -> None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        values = {
            "host": self.host,
            "ports": self.ports,
            "user": getpass.getuser(),
            "folder": self.folder,
            "cpus": self.cpus,
            "memory": int(memory * 0.9),
        }
        text = CONFIG.format(**values)
        for key, value in changes.items():
            text = re.sub(rf"^{key}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
        (ETC / "slurm.conf").write_text(text)
        (ETC / "gres.conf").write_text(GRES.format(**values))

    def _munged(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        paths = [
            f"--{word}={self.folder}/munge.{ending}"
            for word, ending in (
                ("key-file", "key"),
                ("socket", "socket"),
                ("pid-file", "pid"),
                ("log-file", "log"),
                ("seed-file", "seed"),
            )
        ]
        self._daemon("munged", "--foreground", "--force", *paths)
        socket_path = self.folder / "munge.socket"
        wait_for(socket_path.exists, 60, "munged listens")

    def _daemon(self, name: str, *arguments: str) -> None:
        output = open(self.folder / f"{name}.out", "ab")  # noqa: SIM115
        self.daemons[name] = subprocess.Popen(
            [f"{SBIN}/{name}", *arguments],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        output.close()
        time.sleep(0.5)
        if self.daemons[name].poll() is not None:
            text = (self.folder / f"{name}.out").read_text(errors="replace")
            raise SlurmNotStarted(f"{name} ended at once:\n{text[-2000:]}")

    def start_slurmctld(self) -> None:
        """Start the controller again; it knows its jobs from its state folder."""
        self._daemon("slurmctld", "-D")

    def restart_slurmctld(self, **changes: object) -> None:
        """Start the controller again with these settings of slurm.conf changed."""
        self.kill("slurmctld")
        self._write_config(**changes)
        self.start_slurmctld()
        wait_for(self.sinfo, 180, "the controller is back")

    def start_slurmd(self) -> None:
        """Start the node's daemon."""
        self._daemon("slurmd", "-D", "-N", self.host)

    def kill(self, name: str) -> None:
        """Kill one daemon as a crash does."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def kill_node(self) -> None:
        """What a power cut does: slurmd, its step daemons and all they run."""
        steps = self.step_daemons()
        self.kill("slurmd")
        for pid in [child for step in steps for child in _tree(step)]:
            _send(pid, signal.SIGKILL)

    def step_daemons(self) -> list[int]:
        """Process ids of our slurmstepd; those of others have another /etc/slurm."""
        found, own = [], os.readlink("/proc/self/ns/mnt")
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                ours = os.readlink(folder / "ns" / "mnt") == own
            except OSError:
                continue
            if ours and words[0].startswith(b"slurmstepd: ["):
                found.append(int(folder.name))
        return found

    def sinfo(self) -> str:
        """Return the node's state, "" while the controller does not answer."""
        return self.ask("sinfo", "-h", "-N", "-p", "main", "-o", "%T")

    def ask(self, *command: str) -> str:
        """Return a client command's output; "" if it fails."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    def jobs(self) -> dict[str, dict[str, str]]:
        """Return {job id: fields of scontrol} of all jobs since the start."""
        jobs = {}
        for line in self.ask("scontrol", "show", "job", "-o").splitlines():
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            if "JobId" in fields:  # or it says that there are none
                jobs[fields["JobId"]] = fields
        return jobs

    def stop(self) -> None:
        """Cancel every job, stop the daemons, give /etc/slurm back."""
        if "slurmctld" in self.daemons:
            self.ask("scancel", "-u", getpass.getuser())
            time.sleep(1)
        for step in self.step_daemons():
            for pid in _tree(step):
                _send(pid, signal.SIGKILL)
        for name in ("slurmd", "slurmctld", "munged"):
            daemon = self.daemons.pop(name, None)
            if daemon is None:
                continue
            daemon.terminate()
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        subprocess.run(["umount", str(ETC)], capture_output=True)
        shutil.rmtree(self.folder / "slurmd", ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
