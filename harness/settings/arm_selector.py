"""Words that choose one arm of a study: a method's name, then what sets it apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.settings import messages
from harness.settings.run_spec import RunSpec

VARIANT = "variant"
# A word continues through the blanks of what stands in quotes after "=", as labels have it.
_WORD = re.compile(r"[^\s=]+='[^']*'|\S+")


@dataclass(frozen=True)
class Selector:
    """Which arm is meant, such as "early_bird prune_ratio=0.7 variant=lean".

    Attributes:
        method: The method's name.
        values: From a hyper-parameter, or "variant", to its value, as a study file or a label of a
            report writes it; one with blanks stands in quotes. What is not named may be anything,
            as long as one arm answers.
    """

    method: str
    values: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Read a selector.

        Raises:
            ValueError: The text is no method name followed by KEY=VALUE words.
        """
        method, *pairs = _WORD.findall(text) or [""]
        values = {key: _bare(value) for key, _, value in (pair.partition("=") for pair in pairs)}
        if not method or "=" in method or not all(key and value for key, value in values.items()):
            raise ValueError(f"'{text}': expected METHOD [KEY=VALUE]...")
        if len(values) < len(pairs):
            raise ValueError(f"'{text}' gives a value twice")
        return cls(method, values)

    def matches(self, spec: RunSpec) -> bool:
        """Whether a run belongs to the arm."""
        return self.names(spec.method, spec.hyperparameters | {VARIANT: spec.variant})

    def names(self, method: str, values: Mapping[str, Any]) -> bool:
        """Whether a method with these hyper-parameters is the one that is meant."""
        return method == self.method and all(
            key in values and _means(text, values[key]) for key, text in self.values.items()
        )


def _bare(value: str) -> str:
    """A value without the quotes around it."""
    quoted = len(value) > 1 and value[0] == value[-1] == "'"
    return value[1:-1] if quoted else value


def _means(text: str, value: Any) -> bool:
    """Whether a text is a value as Python shows it, as labels do, or as TOML writes it."""
    if text == str(value):
        return True
    try:
        return bool(messages.parse(f"value = {text}")["value"] == value)
    except ValueError:
        return False
