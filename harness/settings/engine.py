"""Settings of the engine: where runs execute, and how many in parallel."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.settings.catalogue import ENGINES
from harness.settings.settings import Settings, one_of
from harness.settings.types import Count, Positive

Minutes = Annotated[int, Field(ge=1, le=525_600)]


class SlurmSettings(Settings):
    """Options of Slurm jobs; those not set are left to the cluster's defaults."""

    partition: str | None = None
    """The queue."""
    account: str | None = None
    """The account to charge."""
    qos: str | None = None
    """Quality of service, if the cluster has several."""
    constraint: str | None = None
    """Features that a node must have, such as "nvlink"."""
    gpus: bool = True
    """Request GPUs, as many as a run uses."""
    gpu_type: str | None = None
    """The cluster's name of a GPU type, such as "a100". Energy is best compared on one type."""
    cpus: Count | None = None
    """CPU cores per run."""
    memory_gb: Positive | None = None
    """Memory per node of a run."""
    time_min: Minutes = 60
    """Time limit of a job. A run that reaches it is requeued, and resumes from its checkpoint."""
    warn_s: Annotated[int, Field(ge=15, le=3600)] = 120
    """Seconds before the time limit at which a run closes its last window and saves its state.
    Slurm may be a minute early."""
    timeouts: Annotated[int, Field(ge=0)] = 100
    """Number of times a job that reached its time limit is requeued automatically."""
    at_once: Count | None = None
    """Maximum number of jobs of an array that run in parallel."""
    exclusive: bool = False
    """Reserve whole nodes. The energy of their CPUs then belongs to the run; GPUs that stay idle
    are measured and listed."""
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
    """Where runs execute. It does not affect their results, except through the order of sums."""

    kind: Annotated[str, one_of(ENGINES)] = "local"
    """"local": on this machine while the command runs; "slurm": as jobs of a Slurm cluster; or
    the engine of another package."""
    at_once: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of parallel runs on this machine: one per GPU, or on shares of the CPU if there is no
    GPU. Runs that share a host disturb each other's energy, and the energy of its CPUs is then not
    attributed to any run."""
    gpus_per_run: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of GPUs that train a run together (torch's DistributedDataParallel), or of processes
    if there are no GPUs. Batch size and learning rate stay as in `training`: each GPU works on its
    share of every batch, with BatchNorm statistics of the whole batch."""
    nodes_per_run: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of nodes of a cluster that train a run together, with equally many GPUs on each."""
    threads: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """CPU threads of each training process. "auto": on a CPU one, if the network is so small that
    threads would mostly wait for each other; else as many as torch takes, or the run's share of the
    cores. An estimate of energy is comparable only between runs with equally many."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options for the engine of another package."""
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
        """Number of GPUs per node that train a run together."""
        return self.gpus_per_run // self.nodes_per_run
