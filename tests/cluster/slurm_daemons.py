"""A real Slurm on this machine: munged, slurmctld, one slurmd, two stand-in GPUs.

Its configuration has to lie in /etc/slurm; one that is already there and is not ours
is left alone and makes the start fail.
"""

from __future__ import annotations

import contextlib
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
MARK = "# Written by tests/cluster of dash-repro; removed when the tests end"
SBIN = "/usr/sbin"
NODES = 1
CONFIG = """\
{mark}
ClusterName=dashtest
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort=16817
SlurmdPort=16818
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
{mark}
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
        self.folder, self.cpus = Path(folder), cpus
        self.host = socket.gethostname().split(".")[0]
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        """Start everything.

        Raises:
            SlurmNotStarted: not installed, a foreign configuration, a dead daemon.
        """
        for name in ("munged", "slurmctld", "slurmd"):
            if not Path(SBIN, name).exists():
                raise SlurmNotStarted(f"{name} is missing: apt-get install slurm-wlm")
        self._refuse_foreign()
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        for name in ("ctld", "slurmd"):
            (self.folder / name).mkdir()
        self._write_config()
        self._munged()
        self._daemon("slurmctld", "-D", "-i")
        self.start_slurmd()
        wait_for(lambda: "idle" in self.sinfo(), 40, "the node is idle")

    @staticmethod
    def _refuse_foreign() -> None:
        for name in ("slurm.conf", "gres.conf", "cgroup.conf"):
            path = ETC / name
            if path.exists() and not path.read_text().startswith(MARK):
                raise SlurmNotStarted(
                    f"{path} is not of these tests, and is left as it is: run them on "
                    "a machine that is not part of a cluster"
                )

    def _write_config(self, **changes: object) -> None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        values = {
            "mark": MARK,
            "host": self.host,
            "user": getpass.getuser(),
            "folder": self.folder,
            "cpus": self.cpus,
            "memory": int(memory * 0.9),
        }
        ETC.mkdir(exist_ok=True)
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
        wait_for(socket_path.exists, 10, "munged listens")

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
        wait_for(self.sinfo, 60, "the controller is back")

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
        """Process ids of our slurmstepd."""
        found = []  # there is no other Slurm here: the start refuses that
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].startswith(b"slurmstepd: ["):
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
            jobs[fields["JobId"]] = fields
        return jobs

    def stop(self) -> None:
        """Cancel every job, stop the daemons, remove the configuration."""
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
        for name in ("slurm.conf", "gres.conf"):
            path = ETC / name
            if path.exists() and path.read_text().startswith(MARK):
                path.unlink()
        shutil.rmtree(self.folder / "slurmd", ignore_errors=True)


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
