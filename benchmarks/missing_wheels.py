"""Which packages a machine lacks that has torch and the usual ones: a distribution a line.

    python benchmarks/missing_wheels.py

These are what the harness imports and such machines often do not have; CodeCarbon imports some of
them. Nothing of the harness is imported to find out.
"""

from __future__ import annotations

import importlib.util

DISTRIBUTIONS = {
    "annotated_types": "annotated-types",
    "codecarbon": "codecarbon",
    "pycountry": "pycountry",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic-core",
    "rapidfuzz": "rapidfuzz",
    "torch_pruning": "torch-pruning",
    "typing_inspection": "typing-inspection",
    "typing_extensions": "typing-extensions",
    "pynvml": "nvidia-ml-py",
}
"""By the name to import."""


def missing() -> list[str]:
    """The distributions whose module is not there."""
    return [
        distribution
        for module, distribution in DISTRIBUTIONS.items()
        if importlib.util.find_spec(module) is None
    ]


if __name__ == "__main__":
    print("".join(f"{name}\n" for name in missing()), end="")  # noqa: T201
