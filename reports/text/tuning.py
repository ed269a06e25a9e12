"""How tuning is reported: every method with a recipe of its own, by the same number of trials."""

from __future__ import annotations


def tuning_note(trials: int) -> str:
    """What differs on purpose between the methods of a tuned study; empty without tuning."""
    if not trials:
        return ""
    return (
        f"Recipes were tuned for each method, {trials} trials each, and chosen on validation data; "
        "energy with tuning adds all trials of the method to one run of it."
    )
