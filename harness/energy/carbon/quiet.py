"""Imports CodeCarbon without its messages, for its data alone."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
from pathlib import Path


def codecarbon_data() -> Path:
    """The folder of its data, found without importing it: that takes seconds."""
    found = importlib.util.find_spec("codecarbon")
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError("codecarbon is not installed", name="codecarbon")
    return Path(found.submodule_search_locations[0]) / "data"


def import_codecarbon() -> None:
    """Import CodeCarbon without its messages about sensors that it looks for meanwhile.

    Only its tables are used here; `doctor` reports the sensors.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            importlib.import_module("codecarbon")
    finally:
        logging.disable(disabled)
