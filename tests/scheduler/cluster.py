"""A real Slurm of one node with two GPUs that are none, started by the tests as root."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.scheduler.started import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
_CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 \
ThreadsPerCore=1 RealMemory=4000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP
"""
_GRES = "Name=gpu Type=fake File={folder}/gpu[0-1] Flags=nvidia_gpu_env\n"


def why_not() -> str | None:
    """Why no cluster can be started here; None if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here (Debian: apt-get install slurm-wlm munge)"
    return None if os.geteuid() == 0 else "a cluster of one's own needs root"


@dataclass
class Cluster:
    """Its daemons, all in one folder."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        """Bring everything up, and wait until the node takes jobs."""
        host = platform.node().split(".")[0]
        ports = {"controller_port": _free_port(), "node_port": _free_port()}
        self.env["SLURM_CONF"] = str(self.folder / "slurm.conf")
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        for number in range(2):
            os.mknod(self.folder / f"gpu{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        conf = _CONF.format(host=host, folder=self.folder, **ports)
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "gres.conf").write_text(_GRES.format(folder=self.folder))
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.folder.chmod(0o755)  # whoever talks to munged must get there
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid"}
        files |= {"log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder}/munge.{end}" for option, end in files.items()]
        self._start("munged", "--foreground", "--force", *options)
        wait_until((self.folder / "munge.socket").exists, "munged listens")
        self.start_controller()
        self._start("slurmd", "-D")
        wait_until(
            lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%t"),
            "the node is up",
            period_s=0.1,
        )

    def start_controller(self) -> None:
        """Start the controller, from whatever it has saved."""
        self._start("slurmctld", "-D")
        wait_until(lambda: "is UP" in self.ask("scontrol", "ping"), "the controller answers")

    def stop_controller(self) -> None:
        """Stop the controller; it saves what it knows first."""
        self._running["slurmctld"].terminate()
        self._running["slurmctld"].wait()

    def ask(self, *command: str) -> str:
        """What a command of Slurm says, whether or not it succeeds."""
        ended = subprocess.run(
            command,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return ended.stdout

    def stop(self) -> None:
        """Cancel what runs, and take everything down."""
        self.ask("scancel", "--user=root")
        for process in reversed(self._running.values()):
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as out:
            self._running[command[0]] = subprocess.Popen(
                command, env={**os.environ, **self.env}, stdout=out, stderr=out
            )


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])
