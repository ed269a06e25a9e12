"""From a study that tunes recipes to its trials, as a study of their own."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from harness.errors import UsageError
from harness.settings.messages import tell
from harness.settings.run_spec import RunSpec
from harness.settings.settings import Training
from harness.settings.tuning import Axis, TuningSettings
from harness.study.study import Study, Variant

_DIGITS = 4
"""Significant digits of a drawn value: finer ones make no difference that a trial could show."""


def trial_study(study: Study) -> Study:
    """The trials of a study: its methods with one seed, and a variant per trial and length.

    Raises:
        UsageError: The recipe refuses the values of a trial, or the study has too few epochs.
    """
    tuning, epochs = study.tuning, study.training.epochs
    if epochs < 2**tuning.halvings:
        raise UsageError(
            f"tuning.halvings: {tuning.halvings} halvings need at least {2**tuning.halvings} "
            f"training.epochs, not {epochs}"
        )
    variants = {
        f"trial-{number}-epochs-{length}": Variant(training={**values, "epochs": length})
        for length in tuning.lengths(epochs)
        for number, values in enumerate(_checked(study))
    }
    return study.model_copy(
        update={
            "name": f"{study.name[:57]}-tuning",
            "seeds": (tuning.seed,),
            "variants": variants,
            "tuning": TuningSettings(),
            "report": study.report.model_copy(update={"claims": (), "decomposition": None}),
        }
    )


def tuned_arm(spec: RunSpec) -> str:
    """The arm of the study that a trial is for."""
    return spec.arm.removesuffix(f" variant={spec.variant}")


def trial_number(spec: RunSpec) -> int:
    """The number of a trial, from 0."""
    return int((spec.variant or "").split("-")[1])


def points(tuning: TuningSettings) -> list[dict[str, Any]]:
    """The changes of each trial to the study's recipe; of trial 0 none.

    Points of Sobol's sequence with Owen's scrambling, by scipy, so that more trials begin with the
    same ones. Integers are rounded to the nearest, other numbers to four significant digits.
    """
    from scipy.stats.qmc import Sobol  # scipy.stats takes a second to import

    sequence = Sobol(len(tuning.space), scramble=True, rng=tuning.seed)
    drawn = sequence.random_base2((tuning.trials - 1).bit_length())[: tuning.trials - 1]
    return [
        {},
        *(
            {
                key: _value(key, axis, float(share))
                for (key, axis), share in zip(tuning.space.items(), point, strict=True)
            }
            for point in drawn
        ),
    ]


def _value(key: str, axis: Axis, share: float) -> Any:
    """The value at a share of the way along an axis."""
    if axis.choices:
        return axis.choices[int(share * len(axis.choices))]
    low, high = axis.low or 0.0, axis.high or 0.0
    value = low * (high / low) ** share if axis.log else low + share * (high - low)
    if Training.model_fields[key].annotation is int:
        return round(value)
    return float(f"{value:.{_DIGITS}g}")


def _checked(study: Study) -> list[dict[str, Any]]:
    """The points, each of which the recipe takes."""
    found = points(study.tuning)
    for number, values in enumerate(found):
        try:
            Training(**{**study.training.model_dump(), **values})
        except ValidationError as error:
            message = tell(error, Training, f"tuning.space, trial {number}").splitlines()[0]
            raise UsageError(message) from None
    return found
