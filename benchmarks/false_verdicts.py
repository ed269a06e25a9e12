"""How often a study calls a method non-inferior that loses just as much as is accepted.

    python benchmarks/false_verdicts.py > benchmarks/false_verdicts.txt

Simulated studies, judged by the reports' own code (`reports.statistics.verdicts.decide`): every
method is exactly at the margin, so that each verdict "non-inferior" is wrong; 2.5 % of studies
may have one. Beside it what plain t says of the same studies, at 2.5 % for each method and
look. Some minutes on one core.

- one method: three, five, ten seeds; differences normal with a standard deviation of 0.3 points.
- 12 methods: against one dense network, three seeds; dense and methods 0.3 points each.
- until decided: seeds added from 3 to at most 10.
- shared test set: 1,000 images that all seeds share. "luck in each": each image has a chance of
  its own to be classified rightly, by either network, that each seed draws anew, and seeds have no
  effect besides. "same in all": every seed gets the same images right. "and seeds": as the first,
  and each seed moves all images' chances of both networks.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy

from harness.results.final_test import FinalTest
from harness.study.study import UntilDecided
from reports.statistics.statistics import non_inferiority, t_interval
from reports.statistics.verdicts import Decision, decide

MARGIN = 0.005
SPREAD = 0.003
IMAGES = 1000
RULE = UntilDecided(min=3, max=10)
SEED = 0

Study = dict[str, dict[int, FinalTest]]
Draw = Callable[[np.random.Generator], Study]


@dataclass(frozen=True)
class Rates:
    """Of some simulated studies: shares that err, and seeds of an undecided or decided method.

    `wrong` by the reports' verdicts, `plain` by a t interval for each method at each look.
    """

    wrong: float
    plain: float
    seeds: float


def rates(draw: Draw, studies: int, margin: float, rule: UntilDecided | None = None) -> Rates:
    """Judge this many studies."""
    generator = np.random.default_rng(SEED)
    wrong = plain = seeds = 0.0
    for _ in range(studies):
        study = draw(generator)
        found = decide(study, "dense", margin, rule)
        wrong += any(each.verdict == "non-inferior" for each in found.values())
        plain += any(_plain(study["dense"], study[arm], margin, rule) for arm in found)
        seeds += np.mean([_seeds(each, rule) for each in found.values()])
    return Rates(wrong / studies, plain / studies, seeds / studies)


def _seeds(decision: Decision, rule: UntilDecided | None) -> int:
    return decision.decided_after or (rule.max if rule else decision.interval.n)


def _plain(
    dense: dict[int, FinalTest], arm: dict[int, FinalTest], margin: float, rule: UntilDecided | None
) -> bool:
    """Whether plain t calls it non-inferior: at the first look that decides, either way."""
    lost = [arm[seed].score - dense[seed].score for seed in sorted(arm)]
    for n in range(rule.min, rule.max + 1) if rule else (len(lost),):
        verdict = non_inferiority(t_interval(lost[:n]), margin)
        if verdict != "inconclusive":
            return verdict == "non-inferior"
    return False


def normal(seeds: int, lost: float, spread: float = SPREAD, arms: int = 1) -> Draw:
    """Studies of accuracies that are normal over seeds; nothing is known of their images."""
    own = spread / np.sqrt(2) if arms == 1 else spread

    def draw(generator: np.random.Generator) -> Study:
        values = 0.95 + own * generator.standard_normal((arms + 1, seeds))
        values[1:] -= lost
        names = ["dense", *(f"method {n}" for n in range(arms))]
        return {
            name: {seed: FinalTest(float(value)) for seed, value in enumerate(row)}
            for name, row in zip(names, values, strict=True)
        }

    return draw


def shared(seeds: int, kind: str) -> tuple[Draw, float]:
    """Studies that share a test set, drawn anew for each study; and the share truly lost.

    Half of the images are as hard for the method as for dense; the rest are drawn anew, harder.
    """
    lost = 0.5 * (0.18 / 2.08 - 0.05)

    def draw(generator: np.random.Generator) -> Study:
        dense = generator.beta(0.1, 1.9, IMAGES)
        anew = generator.random(IMAGES) < 0.5
        method = np.where(anew, generator.beta(0.18, 1.9, IMAGES), dense)
        return {"dense": _tests(dense, generator), "method": _tests(method, generator)}

    def _tests(hard: np.ndarray, generator: np.random.Generator) -> dict[int, FinalTest]:
        if kind == "same in all":
            right = np.repeat(generator.random((1, IMAGES)) >= hard, seeds, axis=0)
        elif kind == "and seeds":
            moved = generator.normal(0, 0.01, (seeds, 1))
            right = generator.random((seeds, IMAGES)) >= hard + moved * (hard > 0.01)
        else:
            right = generator.random((seeds, IMAGES)) >= hard
        return {
            seed: FinalTest(float(row.mean()), IMAGES, np.packbits(row).tobytes())
            for seed, row in enumerate(right)
        }

    return draw, lost


def scenarios() -> Iterator[tuple[str, int, Rates]]:
    """Each with how many studies were simulated."""
    for seeds in (3, 5, 10):
        yield f"one method, {seeds} seeds", 20_000, rates(normal(seeds, MARGIN), 20_000, MARGIN)
    yield "12 methods, 3 seeds", 8000, rates(normal(3, MARGIN, arms=12), 8000, MARGIN)
    yield "until decided, 3 to 10 seeds", 20_000, rates(normal(10, MARGIN), 20_000, MARGIN, RULE)
    many = rates(normal(10, MARGIN, arms=12), 1500, MARGIN, RULE)
    yield "until decided, 12 methods", 1500, many
    for kind in ("luck in each", "same in all", "and seeds"):
        for seeds in (3, 5, 10):
            draw, lost = shared(seeds, kind)
            yield f"shared test set, {kind}, {seeds} seeds", 4000, rates(draw, 4000, lost)
    draw, lost = shared(10, "luck in each")
    yield "shared test set, until decided", 2000, rates(draw, 2000, lost, RULE)


def main() -> None:
    """Print a line a scenario, then how many seeds clear cases take."""
    print(f"scipy {scipy.__version__}, numpy {np.__version__}, Python {platform.python_version()}")  # noqa: T201
    print(f"{'':44}{'studies':>8}{'wrong':>8}{'plain t':>9}{'mean seeds':>12}")  # noqa: T201
    for name, studies, found in scenarios():
        line = f"{name:44}{studies:8,}{found.wrong:8.1%}{found.plain:9.1%}{found.seeds:12.1f}"
        print(line, flush=True)  # noqa: T201
    print("\nuntil decided, a method as good as dense:        decided  mean seeds")  # noqa: T201
    for spread in (0.0015, 0.003, 0.005):
        found = rates(normal(10, 0.0, spread), 3000, MARGIN, RULE)
        name = f"differences of ±{spread * 100:.2f} points"
        print(f"{name:44}{found.wrong:12.1%}{found.seeds:12.1f}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
