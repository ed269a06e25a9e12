"""Types of numbers in settings and hyper-parameters, with their bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

MAX_COUNT = 1_000_000
"""A bound against typing errors; no setting sensibly reaches it."""
Ratio = Annotated[float, Field(gt=0, lt=1)]
"""A share strictly between 0 and 1."""
Share = Annotated[float, Field(ge=0, lt=1)]
"""A share below 1; 0 for none."""
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
"""A whole number, at least 1."""
Weight = Annotated[float, Field(ge=0, le=MAX_COUNT)]
"""A number, at least 0."""
Positive = Annotated[float, Field(gt=0, le=MAX_COUNT)]
"""A number above 0."""
Precision = Literal["fp32", "tf32", "bf16", "fp8", "int8_simulated"]
"""Arithmetic of training. "int8_simulated" is 8-bit block floating point (SWALP, Yang et al., ICML
2019) computed in fp32: it shows the accuracy of 8 bits and costs more energy, not less."""
CompileMode = Literal["default", "reduce-overhead", "max-autotune"]
"""Modes of torch.compile; "reduce-overhead" records CUDA graphs, "max-autotune" tries kernels."""
