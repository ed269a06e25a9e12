"""The grid's carbon intensity of this moment, asked of a service once; a failure costs nothing."""

from __future__ import annotations

import os
import queue
import threading
from datetime import UTC, datetime
from typing import Any

from harness.energy.carbon.quiet import import_codecarbon
from harness.energy.carbon.series import MAX_KG_PER_KWH

KEY = "CODECARBON_ELECTRICITYMAPS_API_TOKEN"
"""Environment variable with the key, the one that CodeCarbon reads."""
TIMEOUT_S = 10.0
"""Time for an answer. CodeCarbon's client does not limit how long a name may take to resolve."""


def ask(country: str) -> dict[str, Any]:
    """What Electricity Maps says of a country's grid now, through CodeCarbon's client; never fails.

    Returns:
        The record to keep: `time` (UTC, to the second, before asking), `provider`, `country`, and
        either `kg_per_kwh` or `error`. The key is in none of them.
    """
    # To the second, as the first event of a run: one that begins at once must not come before it.
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record: dict[str, Any] = {"time": now, "provider": "electricitymaps", "country": country}
    key = os.environ.get(KEY, "").strip()
    if not key:
        return record | {"error": f"no key in the environment variable {KEY}"}
    if not (key.isascii() and key.isprintable()):
        return record | {"error": f"the key in {KEY} holds a character that no key has"}
    answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_asked(country, key)), daemon=True).start()
    try:
        return record | answers.get(timeout=TIMEOUT_S)
    except queue.Empty:
        return record | {"error": f"no answer within {TIMEOUT_S:g} s"}


def _asked(country: str, key: str) -> dict[str, Any]:
    try:
        import pycountry

        import_codecarbon()
        from codecarbon.core.electricitymaps_api import get_carbon_intensity
        from codecarbon.external.geography import GeoMetadata

        found = pycountry.countries.get(alpha_3=country)
        if found is None:
            return {"error": f"no two-letter code for {country}"}
        place = GeoMetadata(country_iso_code=country, country_2letter_iso_code=found.alpha_2)
        g_per_kwh = get_carbon_intensity(place, key)
        if isinstance(g_per_kwh, int | float) and 0 <= g_per_kwh <= MAX_KG_PER_KWH * 1000:
            return {"kg_per_kwh": g_per_kwh / 1000}
        said = f"an answer that is no carbon intensity: {g_per_kwh!r}"
    except Exception as error:  # noqa: BLE001 - whatever comes over a network, the runs go on
        said = f"{type(error).__name__}: {error}"
    return {"error": " ".join(said.replace(key, "***").split())[:200]}
