"""Words that choose one arm of a study: a method's name, then what tells it from its others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness import toml
from harness.spec import RunSpec

VARIANT = "variant"


@dataclass(frozen=True)
class Selector:
    """Which arm is meant, such as "early_bird prune_ratio=0.7 variant=lean".

    Attributes:
        method: The method's name.
        values: From a hyper-parameter, or "variant", to its value, as a study file or a label of a
            report writes it. What is not named may be anything, as long as one arm answers.
    """

    method: str
    values: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector.

        Raises:
            ValueError: The text is no method name followed by KEY=VALUE words.
        """
        method, *pairs = text.split() or [""]
        values = dict(pair.partition("=")[::2] for pair in pairs)
        if not method or "=" in method or not all(key and value for key, value in values.items()):
            raise ValueError(f"'{text}' is no method followed by KEY=VALUE words")
        if len(values) < len(pairs):
            raise ValueError(f"'{text}' gives a value twice")
        return cls(method, values)

    def matches(self, spec: RunSpec) -> bool:
        """Whether a run belongs to the arm."""
        told = spec.hyperparameters | {VARIANT: spec.variant}
        return spec.method == self.method and all(
            key in told and _means(text, told[key]) for key, text in self.values.items()
        )


def _means(text: str, value: Any) -> bool:
    """Whether a text is a value as Python shows it, as labels do, or as TOML writes it."""
    if text == str(value):
        return True
    try:
        return bool(toml.parse(f"value = {text}")["value"] == value)
    except ValueError:
        return False
