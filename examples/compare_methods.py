"""A small study from Python: two methods, two seeds, and what they can say."""

import harness

runs = harness.run(
    "quick",
    "dense",
    "early_bird",
    seeds=[0, 1],
    out="results/example",
    settings={"training.epochs": 4},
)
table = runs.groupby("arm")[["test_score", "energy_j", "uncertainty_j", "parameters"]].mean()
print(table.to_string(float_format="{:.4g}".format))

dense, early = (runs[runs["arm"] == arm].set_index("seed") for arm in ("dense", "early_bird"))
ratios = early["energy_j"] / dense["energy_j"]
sources = ", ".join(sorted(set(runs["energy_source"])))
print(f"early_bird / dense, by seed: {ratios.round(2).to_dict()} (energy: {sources})")
