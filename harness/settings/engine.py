"""Where a study's runs execute, and how many at a time."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.settings.catalogue import ENGINES
from harness.settings.settings import Settings, one_of
from harness.settings.types import Count, Positive

Minutes = Annotated[int, Field(ge=1, le=525_600)]


class SlurmSettings(Settings):
    """What to ask a Slurm cluster for; what is not set is left to the cluster's defaults."""

    partition: str | None = None
    """The queue."""
    account: str | None = None
    """Who pays."""
    qos: str | None = None
    """Quality of service, where the cluster has several."""
    constraint: str | None = None
    """Features that a node must have, such as "nvlink"."""
    gpus: bool = True
    """Ask for GPUs, as many as a run uses."""
    gpu_type: str | None = None
    """As the cluster calls it, such as "a100". Energy is best compared on one type."""
    cpus: Count | None = None
    """Processor cores of a run."""
    memory_gb: Positive | None = None
    """Memory of a run's node."""
    time_min: Minutes = 60
    """Time limit of a job. A run that reaches it goes on in the queue from its last checkpoint."""
    warn_s: Annotated[int, Field(ge=15, le=3600)] = 120
    """So long before the limit a run is told to close its last window and save its place. Slurm may
    be a minute early."""
    timeouts: Annotated[int, Field(ge=0)] = 100
    """So many times a job that reached its limit goes on by itself."""
    at_once: Count | None = None
    """So many jobs of an array at a time."""
    exclusive: bool = False
    """Take whole nodes. What their processors draw is then a run's own; GPUs that stay idle are
    measured and listed."""
    prologue: tuple[str, ...] = ()
    """Lines of shell before the run, such as `module load cuda`."""
    python: str | None = None
    """The command that starts Python on a node, such as `apptainer exec --nv image.sif python`.
    Default: the interpreter that submits."""
    options: dict[str, str | int | bool] = Field(default_factory=dict)
    """Any other option of sbatch, by its long name without the dashes."""

    @model_validator(mode="after")
    def _there_is_time_before_the_warning(self) -> SlurmSettings:
        if self.warn_s >= self.time_min * 60:
            raise ValueError(f"warn_s = {self.warn_s}: not before the limit, {self.time_min} min")
        return self


class EngineSettings(Settings):
    """Where runs execute. None of it decides their result, but for the order of sums."""

    kind: Annotated[str, one_of(ENGINES)] = "local"
    """"local": on this machine while the command runs; "slurm": as jobs of a Slurm cluster; or
    the engine of another package."""
    at_once: Annotated[int, Field(ge=1, le=1024)] = 1
    """On this machine, so many runs at a time: one a GPU, or over shares of the CPU where there is
    none. Runs that share a host disturb each other's energy, and what its processors draw is then
    no run's."""
    gpus_per_run: Annotated[int, Field(ge=1, le=64)] = 1
    """So many GPUs train a run together (torch's DistributedDataParallel), or so many processes
    where there are none. Batch size and learning rate stay as `training` says: each GPU works on
    its share of every batch, with BatchNorm statistics of the whole batch."""
    nodes_per_run: Annotated[int, Field(ge=1, le=64)] = 1
    """Over so many nodes of a cluster, equally many on each."""
    threads: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """CPU threads of each training process. "auto": on a CPU one, if the network is so small that
    threads would mostly wait for each other; else as many as torch takes, or the run's share of the
    cores. An estimate of energy is comparable only between runs with equally many."""
    options: dict[str, Any] = Field(default_factory=dict)
    """For the engine of another package: whatever it wants to know."""
    slurm: SlurmSettings = SlurmSettings()

    @model_validator(mode="after")
    def _nodes_share_equally(self) -> EngineSettings:
        if self.gpus_per_run % self.nodes_per_run:
            raise ValueError(
                f"nodes_per_run = {self.nodes_per_run} does not divide gpus_per_run = "
                f"{self.gpus_per_run}"
            )
        return self

    @property
    def gpus_per_node(self) -> int:
        """So many GPUs of one node train a run together."""
        return self.gpus_per_run // self.nodes_per_run
