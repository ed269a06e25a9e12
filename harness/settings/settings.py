"""What a study can set, and what is allowed: typed, unknown keys refused."""

from __future__ import annotations

from typing import Annotated, Literal, get_args
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from harness.errors import nearest
from harness.settings.catalogue import DATA, METERS, MODELS, TASKS, TIMM, TORCHVISION, Catalogue
from harness.settings.types import CompileMode, Count, Positive, Precision, Ratio, Share, Weight


def one_of(known: Catalogue) -> AfterValidator:
    """Refuses what is not there, unless it is `AS_RECORDED`."""

    def check(value: str, given: ValidationInfo) -> str:
        is_anothers = known is MODELS and value.startswith((TORCHVISION, TIMM))
        if given.context is AS_RECORDED or is_anothers or value in known:
            return value
        raise ValueError(f"'{value}' is unknown; {nearest(value, known)}")

    return AfterValidator(check)


AS_RECORDED = {"as_recorded": True}
"""The context to read settings in that were valid where they were made, whatever is here."""


class Settings(BaseModel):
    """The base of all settings: frozen, unknown keys refused, docstrings as help."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkloadChoice(Settings):
    """The data set and the model."""

    data: Annotated[str, one_of(DATA)]
    """Name of the data set."""
    model: Annotated[str, one_of(MODELS)]
    """Name of the model, or "torchvision/NAME" or "timm/NAME" for a classification network of
    torchvision or timm."""
    task: Annotated[str, one_of(TASKS)] | None = None
    """Name of the task: how outputs become a loss and a score. Default: what the data are for."""
    root: str | None = None
    """Folder of the data set's files, relative to the study file. Default: `data` where the
    harness is called."""
    download: bool = False
    """Fetch the data set into `root` if it is not there (MNIST, Fashion-MNIST, CIFAR)."""
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = None
    """Height and width to scale images to. Required if a folder's images differ in size."""
    input: Literal["auto", "resident", "loader"] = "auto"
    """Where training samples come from: "resident" keeps the data set on the device and augments
    batches there, "loader" reads and augments sample by sample in worker processes (torch's
    DataLoader). "auto" is resident if the data set is small enough."""
    workers: Annotated[int, Field(ge=0, le=256)] = 4
    """Number of worker processes of the loader."""
    context: Count = 64
    """How many tokens of a text a network sees at a time; each sample is so long."""
    train_samples: Count | None = None
    """Train on this many samples only, every class in proportion; the same ones in every run.
    Default: all."""
    validation_share: Ratio = 0.125
    """Share of the training data that decisions may look at; the same split in every run."""
    gamma_init: Positive = 0.5
    """First value of every scale of BatchNorm, GroupNorm and InstanceNorm (0.5 in the Early-Bird
    and Network Slimming papers)."""
    gates: Literal["auto", "all", "none"] = "auto"
    """A gate is a scale of a unit that no normalisation scales: a channel of a convolution, a
    hidden neuron between two linear layers, a head of attention. It begins at 1, is trained with
    the weights, and is folded into them at the end. "auto" gives gates to networks without
    BatchNorm, GroupNorm and InstanceNorm, "all" to every unit without a scale, "none" to none."""
    init: Literal["he", "pytorch", "builder"] = "he"
    """First weights: of convolutions normal with variance 2 / fan-out (He et al., 2015), as in the
    papers' code and torchvision, or PyTorch's default; "builder" keeps what the model's builder
    returns, scales among it."""
    weights: Annotated[str, Field(min_length=1)] | None = None
    """File of first weights in place of drawn ones, relative to the study file: safetensors, or a
    state dict that `torch.save` wrote. A head for another number of outputs is drawn. A method
    that re-initialises draws its weights by `init`."""

    @model_validator(mode="after")
    def _scales_have_one_origin(self) -> WorkloadChoice:
        drawn = self.weights is None and self.init != "builder"
        if not drawn and self.gamma_init != type(self).model_fields["gamma_init"].default:
            origin = "the builder's" if self.weights is None else "those of the file of weights"
            raise ValueError(f"gamma_init is given, but first scales are {origin}; leave it out")
        return self


WHEREABOUTS = frozenset({"root", "download", "workers", "weights"})
"""Keys of the workload that say where samples and weights come from and how fast, not which they
are: that is for their fingerprint."""


def _mode(asked: object) -> object:
    """A mode of torch.compile, or false for none; true stands for the default one."""
    if asked is True:
        return "default"
    if asked is False or asked in get_args(CompileMode):
        return asked
    known = ("false", "true", *get_args(CompileMode))
    raise ValueError(f"'{asked}' is unknown; {nearest(str(asked), known)}")


SGD_RATE = 0.1
"""The rate that the papers' recipes of SGD begin with."""


class Training(Settings):
    """The recipe, the same for every method unless `[tuning]` tunes it."""

    epochs: Count = 160
    """Length of one full training, the budget of every method."""
    batch_size: Count = 256
    """Samples per step on all GPUs together. The last batch of an epoch may be smaller; one of a
    single sample, which has no statistics for BatchNorm, is left out."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW (Loshchilov & Hutter, 2019), by torch."""
    accumulate: Count = 1
    """In how many parts to compute a batch, one after the other, which takes less memory; the step
    is one, by the gradient of the whole batch. BatchNorm sees the parts, not the batch."""
    learning_rate: Positive = SGD_RATE
    """Highest learning rate of the schedule; for "adamw" another than SGD's 0.1, such as 0.001."""
    momentum: Share = 0.9
    """Momentum of "sgd"."""
    nesterov: bool = False
    """Nesterov's momentum, of "sgd"."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Decay of the two moments of "adamw"."""
    eps: Positive = 1e-8
    """Added to the denominator of "adamw"."""
    weight_decay: Weight = 1e-4
    """Weight of the L2 penalty ("sgd"), or of the decay that is decoupled from it ("adamw")."""
    weight_decay_of: Literal["all", "weights"] = "all"
    """What decays: "all" parameters, or "weights" alone: those of convolutions, linear, recurrent
    and attention layers. Biases, scales of norms, gates, embeddings, class tokens, position
    embeddings and other parameters of a network's own modules then do not."""
    clip_norm: Positive | None = None
    """Scale the gradient of a step down to this norm over all parameters, penalties included, if it
    is larger."""
    ema: Ratio | None = None
    """Evaluate and test, in place of the weights, their exponential moving average with this decay
    per step, such as 0.999, which begins at the first weights. Running statistics of BatchNorm are
    those of training. What a method inspects and prunes are the weights themselves."""
    schedule: Literal["step", "cosine", "one_cycle", "constant"] = "step"
    """How the learning rate falls over the epochs."""
    milestones: tuple[Ratio, ...] = (0.5, 0.75)
    """Shares of the schedule at which "step" multiplies the rate by `decay`."""
    decay: Ratio = 0.1
    """Factor by which "step" multiplies the learning rate."""
    peak: Ratio = 0.3
    """Share of the schedule at which "one_cycle" has risen to the full rate."""
    warmup_epochs: Weight = 0
    """Epochs of linear warm-up."""
    label_smoothing: Share = 0
    """Share of each label that is spread over all classes."""
    crop_padding: Annotated[int, Field(ge=0, le=64)] = 0
    """Random crops out of images padded by this many pixels."""
    flip: bool = False
    """Mirror images at random."""
    cutout: Annotated[int, Field(ge=0, le=1024)] = 0
    """Blank a random square of this many pixels (DeVries & Taylor, 2017)."""
    resized_crop: bool = False
    """Cut out a random part of random size and shape, scaled to `image_size` (Szegedy et al.,
    2015), in place of `crop_padding`; the recipe of ImageNet."""
    precision: Precision = "fp32"
    """Arithmetic: "fp32" (strict), "tf32" and "bf16" (autocast), "fp8" (bf16 with linear layers in
    8 bits, by torchao), or "int8_simulated". A phase of a method may ask for another."""
    channels_last: bool | Literal["always"] = True
    """Use the channels-last memory format on a GPU; "always": on a CPU as well, where some networks
    take less time by it and others more (`benchmarks/memory_format.py`)."""
    fused: bool = True
    """On a GPU, update all parameters in one fused step."""
    compile: Annotated[Literal[False] | CompileMode, BeforeValidator(_mode)] = False
    """Run the network through torch.compile in this mode, or true for "default"; compiling is an
    energy window of its own. "reduce-overhead" records CUDA graphs, which small networks gain
    from; "max-autotune" tries kernels as well."""
    graphs: bool = False
    """On a GPU, capture the training step as a CUDA graph and replay it, so that a small network
    does not wait for Python; capturing is an energy window of its own. It has not run on a GPU yet:
    `benchmarks/graphs_on_gpu.py` compares its weights with those of the same training without."""
    deterministic: bool = False
    """On a GPU, repeat results bit by bit, at the cost of speed. On a CPU they always do."""
    evaluate_epochs: Count = 1
    """Epochs between two validations, counted over the run; its end is always validated."""
    checkpoint_epochs: Count = 1
    """Epochs between two checkpoints, counted over the run; its end is always saved."""

    @model_validator(mode="after")
    def _fits_together(self) -> Training:
        of_sgd, of_adamw = ("momentum", "nesterov"), ("betas", "eps")
        for name in of_adamw if self.optimizer == "sgd" else of_sgd:
            if getattr(self, name) != type(self).model_fields[name].default:
                has = " and ".join(of_sgd if self.optimizer == "sgd" else of_adamw)
                raise ValueError(f"{name} is given, but {self.optimizer} has {has}; leave it out")
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate = {self.accumulate} parts are more than the {self.batch_size} samples "
                "of batch_size"
            )
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum above 0")
        if self.optimizer == "adamw" and self.learning_rate == SGD_RATE:
            raise ValueError(
                f"learning_rate = {SGD_RATE:g} is SGD's; give one that suits adamw, such as 0.001"
            )
        return self


PLUGS = ("shelly", "tasmota", "kasa", "tapo", "mqtt")
"""Kinds of smart plug, as their addresses begin."""


CONTROLLERS = ("ipmi", "redfish", "redfish+http")
"""Kinds of management controller, likewise."""


def _plug(address: str) -> str:
    """Refuses what is no address of a plug."""
    parts = _address(address, PLUGS, "shelly://192.168.1.20", "ENERGY_HARNESS_PLUG")
    if parts.scheme == "mqtt" and (not parts.path.strip("/") or set("+#") & set(address)):
        raise ValueError(f"'{address}': name the topic of one plug, such as /tele/desk/SENSOR")
    every = parse_qs(parts.query).get("every", ["1"])[0]
    if not every.replace(".", "", 1).isdecimal() or not float(every) > 0:
        raise ValueError(f"'{address}': every={every} is no number of seconds")
    return address


def _controller(address: str) -> str:
    """Refuses what is no address of a management controller."""
    _address(address, CONTROLLERS, "redfish://bmc.example.org", "ENERGY_HARNESS_BMC")
    return address


def _address(address: str, kinds: tuple[str, ...], example: str, prefix: str) -> SplitResult:
    """The parts of an address that names a kind and a host, and holds no credentials."""
    kind, _, rest = address.partition("://")
    if kind not in kinds or not rest:
        raise ValueError(f"'{address}' is no address such as {example}; {nearest(kind, kinds)}")
    if "@" in rest.partition("/")[0]:
        raise ValueError(
            "an address holds no user or password; give them in the environment "
            f"({prefix}_USER, {prefix}_PASSWORD)"
        )
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"'{address}': {error}") from None
    if not parts.hostname:
        raise ValueError(f"'{address}' names no host")
    return parts


MeterKind = Annotated[str, one_of(METERS)]


def image_setting(choice: WorkloadChoice, training: Training) -> str | None:
    """The first setting of a study that only images can have; None if there is none."""
    settings = {
        "workload.image_size": choice.image_size,
        "training.crop_padding": training.crop_padding,
        "training.flip": training.flip,
        "training.cutout": training.cutout,
        "training.resized_crop": training.resized_crop,
    }
    return next((key for key, value in settings.items() if value), None)


class EnergySettings(Settings):
    """Which sensors are read, and how often."""

    meters: Annotated[tuple[MeterKind, ...], Field(min_length=1)] = (
        "nvml",
        "rapl",
        "zeus",
        "plugs",
        "ipmi",
        "redfish",
        "hwmon",
        "raspberry_pi",
        "battery",
        "estimate",
    )
    """Kinds of sensor to look for; "zeus" (AMD, Apple, Jetson) needs the extra of that name. Of
    those that measure the whole machine ("plugs", "ipmi", "redfish", "hwmon", "raspberry_pi",
    "battery") the first that is here is read.
    Estimates never enter a total that a sensor measured."""
    scope: Literal["parts", "machine"] = "parts"
    """What makes up the energy of a run: the machine's parts (GPUs, CPU, memory), or the whole
    machine, where something measures that (a battery, a plug, a server's controller). The other is
    read and listed beside; the two are never added up."""
    plugs: tuple[Annotated[str, AfterValidator(_plug)], ...] = ()
    """Addresses of smart plugs that feed the machine: "shelly://HOST", "tasmota://HOST",
    "kasa://HOST", "tapo://HOST" (both of TP-Link), or "mqtt://BROKER/TOPIC"; needs the extra
    `plugs`. User and password are taken from the environment (ENERGY_HARNESS_PLUG_USER,
    ENERGY_HARNESS_PLUG_PASSWORD)."""
    controllers: tuple[Annotated[str, AfterValidator(_controller)], ...] = ()
    """Addresses of servers' management controllers: "ipmi://local", "ipmi://HOST" (needs ipmitool),
    or "redfish://HOST" (needs the extra `servers`). User and password are taken from the
    environment (ENERGY_HARNESS_BMC_USER, ENERGY_HARNESS_BMC_PASSWORD)."""
    gpus: Literal["used", "all"] = "used"
    """Read the GPU that the run uses, or all of the machine's."""
    period_s: Annotated[float, Field(ge=0.01, le=60)] = 0.05
    """Time from one reading of power to the next, or 0.02 s if that is shorter and there is no
    counter. Energy counters are read at their own rhythm."""
    warm_up_s: Annotated[float, Field(ge=0, le=600)] = 1.0
    """Seconds to keep a GPU busy before a run is measured, so that none starts cold."""
    idle_s: Annotated[float, Field(ge=0, le=600)] = 2.0
    """Seconds of idle power to measure next (hardware sensors only); reported, never subtracted. A
    GPU gets up to 10 s to reach idle clocks first; if it does not, the record says so."""
    cool_down_c: Annotated[float, Field(gt=0, le=120)] | None = None
    """Then wait until no GPU is warmer than this many degrees Celsius."""
    isolation: Literal["warn", "error"] = "warn"
    """What to do about other processes on a measured GPU: warn, or refuse to start the run."""
    share_gpu: bool = False
    """Allow a GPU that another run is using. Its energy is then that of both runs together, and the
    record says so; otherwise a run is refused a GPU that is in use."""


class Limits(Settings):
    """Limits at which to stop cleanly; a higher limit resumes the work.

    All energy and time spent counts, including lost work and earlier attempts.
    """

    energy_j: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Energy of all runs of the study together."""
    time_s: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Time of all runs of the study together."""
    run_energy_j: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Energy of each run; the study continues with the next."""
    run_time_s: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Time of each run; the study continues with the next."""


class Carbon(Settings):
    """Source of the electricity, for CO2e.

    What wins, if several are given: `kg_per_kwh`, then `series`, then `live`, then `cloud` or
    `country` with `region`, then the world's average.
    """

    country: str | None = None
    """ISO 3166-1 alpha-3 code, such as "DEU"."""
    region: str | None = None
    """A US state, Canadian or Chinese province, or Nordic bidding zone ("se3"), in lower case."""
    cloud: str | None = None
    """A cloud's region, as PROVIDER/REGION, such as "gcp/europe-west1"."""
    kg_per_kwh: Annotated[float, Field(ge=0, le=10)] | None = None
    """CO2e factor in kg per kWh."""
    series: Annotated[str, Field(min_length=1)] | None = None
    """CSV file of the factor over time: `time` (ISO 8601 with zone), `kg_per_kwh` or `g_per_kwh`;
    relative to the study file."""
    live: Literal["electricitymaps"] | None = None
    """Ask this service for the country's intensity when the study starts. The key is taken from
    the environment (CODECARBON_ELECTRICITYMAPS_API_TOKEN); without an answer, it is as if unset."""
    pue: Annotated[float, Field(ge=1, le=5)] = 1.0
    """Power usage effectiveness of the building, multiplied into the CO2e only."""
    also: tuple[str, ...] = ()
    """Further places to count the same energy at, with the same PUE: "FRA", "USA/california",
    "gcp/europe-west1"."""

    @model_validator(mode="after")
    def _one_place(self) -> Carbon:
        if self.cloud is not None and (self.country, self.region) != (None, None):
            raise ValueError("cloud is given with country or region; a place has one name")
        if self.region is not None and self.country is None:
            raise ValueError("region is given without country")
        if self.live is not None and (self.country is None or self.region is not None):
            raise ValueError("live needs a country without region; the service is asked by country")
        if len(set(self.also)) < len(self.also):
            raise ValueError("also: each place may be named once")
        return self
