"""Where a study's runs execute, and how many at a time."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.settings import Settings


class EngineSettings(Settings):
    """Where runs execute. None of it decides their result, but for the order of sums."""

    at_once: Annotated[int, Field(ge=1, le=1024)] = 1
    """So many runs at a time: one a GPU, or over shares of the CPU where there is none. Runs that
    share a host disturb each other's energy, and what its processors draw is then no run's."""
