"""A figure as a journal asks for it: width, type, captions, and colours that stand out."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from matplotlib.colors import to_rgb

from harness.cli import report as command
from harness.cli.main import cli
from harness.errors import UsageError
from harness.results.forecast import Forecast
from reports.figures.gallery import FIGURES
from reports.plotting import style
from reports.plotting.phase_colours import phase_colours
from reports.plotting.score_energy_axes import Point, is_sure
from reports.statistics.statistics import Interval
from reports.tables.plan import plan_table
from tests.reports.details import detailed
from tests.reports.readable_figure import assert_readable
from tests.reports.synthetic import make
from tests.reports.test_report_figures import NAMES, whole

COLUMN = style.Format(width_in=3.5, titled=False)
SWEEP = {"dense": "dense"} | {f"early_bird prune_ratio=0.{n}": "early_bird" for n in (7, 3, 5)}


@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_a_journal_holds_every_figure(name: str) -> None:
    results = whole(make())
    with style.formatted(COLUMN):
        figured = FIGURES[name](results)
        assert figured is not None
        assert_readable(figured.figure)
        assert not figured.figure.get_suptitle()
    assert figured.figure.get_figwidth() * COLUMN.scale == pytest.approx(3.5)
    assert COLUMN.scale * style.SMALLEST_PT >= 6 - 1e-9


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_files_have_the_width_asked_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"figure.{kind}"
    with style.formatted(COLUMN):
        figured = FIGURES["energy_phases"](whole(make(["dense"])))
        assert figured is not None
        style.write(figured.figure, path, kind, dpi=300)
    data = path.read_bytes()
    if kind == "png":
        assert int.from_bytes(data[16:20], "big") == pytest.approx(3.5 * 300, abs=1)
    else:
        pattern = rb"/MediaBox \[\s*0 0 ([\d.]+)" if kind == "pdf" else rb'\bwidth="([\d.]+)pt"'
        found = re.search(pattern, data)
        assert found
        assert float(found[1]) == pytest.approx(3.5 * 72, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_a_short_caption_has_at_most_forty_words(name: str) -> None:
    figured = FIGURES[name](whole(make()))
    assert figured is not None
    assert 10 < len(figured.brief.split()) <= 40
    assert figured.caption.startswith(figured.reading[:40])


def test_a_sweep_has_a_short_caption_too() -> None:
    results = make({"dense": "dense"} | {f"snip sparsity=0.{n}": "snip" for n in (3, 6)})
    figured = FIGURES["matched_score"](results)
    assert figured is not None
    assert 10 < len(figured.brief.split()) <= 40
    assert "scope: cpu" in figured.caption


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the command reads as a small study."""
    import reports.data

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "Tables", lambda path: SimpleNamespace(path=path))
    monkeypatch.setattr(reports.data, "study_results", lambda _: make(["dense", "early_bird"]))
    return tmp_path


def test_the_command_writes_the_figure_and_its_captions(study: Path) -> None:
    words = ["figure", "score_energy", str(study), "--width", "89mm", "--no-title"]
    found = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert found.exit_code == 0
    assert (study / "score_energy.pdf").read_bytes().startswith(b"%PDF")
    short, whole_caption = (study / "score_energy.txt").read_text("utf-8").split("\n\n")
    assert len(short.split()) <= 40
    assert "scope: cpu" in whole_caption


def test_an_unknown_font_is_reported_and_replaced(study: Path) -> None:
    words = ["figure", "score_energy", str(study), "--font", "DejaVu Sens", "--format", "svg"]
    found = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert found.exit_code == 0
    assert "'DejaVu Sens' is not installed, so DejaVu Sans is used" in found.output
    assert "did you mean 'DejaVu Sans'?" in found.output
    assert "Sens" not in (study / "score_energy.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["acuracy_energy"], "did you mean 'score_energy'?"),
        (["decomposition"], "has no data for it"),
        (["score_energy", "--width", "1in"], "must be from 2.5in to 20in"),
        (["score_energy", "--width", "wide"], "such as 3.5in"),
        (["score_energy", "--width", "3.5furlongs"], "in, cm, mm or pt"),
        (["score_energy", "--out", "x.png"], "must end in .pdf"),
    ],
)
def test_wrong_words_are_distinguished(study: Path, words: list[str], part: str) -> None:
    name, *options = words
    with pytest.raises(UsageError, match=re.escape(part)):
        cli.main(["figure", name, str(study), *options], standalone_mode=False)


def test_lines_and_marks_stand_out_from_the_paper() -> None:
    arms = [f"m{n} prune_ratio=0.{level}" for n in range(12) for level in (3, 5, 7)]
    looks = style.arm_styles(["dense", *arms], "dense").values()
    drawn = chain.from_iterable((look.colour, look.shaded, look.faint, look.ink) for look in looks)
    phases = phase_colours(
        ["train", "search", "evaluation", "test", "checkpoint", "overhead", "lost", "pruning"]
        + [f"level {n}" for n in range(9)]
        + [f"own phase {letter}" for letter in "abcdefgh"]
    ).values()
    for colour in (*drawn, *phases):
        assert style.contrast(colour) >= style.MIN_CONTRAST - 1e-9, colour


def test_contrast_is_that_of_wcag() -> None:
    """Known values: black on white is 21 : 1, #767676 the lightest grey with 4.5 : 1."""
    assert style.contrast("black") == pytest.approx(21)
    assert style.contrast("#767676") == pytest.approx(4.54, abs=0.01)
    assert style.contrast(to_rgb("#777777")) < 4.5


@pytest.mark.parametrize("name", ["score_energy", "paired_differences", "energy_phases"])
def test_lines_of_a_figure_stand_out(name: str) -> None:
    figured = FIGURES[name](detailed(make(SWEEP)))
    assert figured is not None
    for axes in figured.figure.axes:
        for line in axes.lines:
            assert line.get_alpha() in (None, 1)
            seen = [line.get_color()]
            if line.get_linestyle() == "None":
                seen = [line.get_markerfacecolor(), line.get_markeredgecolor()]
            if style.SEPARATOR not in seen:
                assert max(map(style.contrast, seen)) >= style.MIN_CONTRAST - 1e-9


def test_levels_of_a_sweep_stand_in_their_order() -> None:
    results = make(SWEEP)
    assert results.arms == ["dense", *(f"early_bird prune_ratio=0.{n}" for n in (3, 5, 7))]
    figured = FIGURES["energy_phases"](results)
    assert figured is not None
    assert list(dict.fromkeys(figured.frame["arm"])) == results.arms


def test_a_plan_has_the_names_and_the_order_of_the_report() -> None:
    labels = [f"early_bird prune_ratio=0.{n}" for n in (7, 3, 5)]
    arms = [
        Forecast(f"{label} window=3", 1, 1, 0, None, None, frozenset(), None) for label in labels
    ]
    table = plan_table(arms, {arm.arm: label for arm, label in zip(arms, labels, strict=True)})
    shown = [str(cell) for cell in table.columns[0].cells]
    assert shown == [f"early_bird prune_ratio=0.{n}" for n in (3, 5, 7)]


def point(arm: str, energy: tuple[float, float], accuracy: tuple[float, float]) -> Point:
    (low, high), (worse, better) = energy, accuracy
    spent = Interval((low + high) / 2, low, high, 3)
    return Point(arm, spent, Interval((worse + better) / 2, worse, better, 3))


def test_the_front_is_sure_only_where_no_interval_crosses() -> None:
    lean, rich = point("lean", (1, 2), (80, 82)), point("rich", (8, 9), (90, 92))
    assert is_sure(lean, [lean, rich], 1)
    assert is_sure(rich, [lean, rich], 1)
    near = point("near", (1.5, 2.5), (81, 83))
    assert not is_sure(lean, [lean, near, rich], 1)
    assert is_sure(rich, [lean, near, rich], 1)


def test_the_forest_has_its_figures_and_verdicts() -> None:
    results = make(["dense", "early_bird", "progressive"])
    figured = FIGURES["paired_differences"](results)
    assert figured is not None
    means = figured.frame[figured.frame["kind"] == "mean"]
    left, right = ([text.get_text() for text in axes.texts] for axes in figured.figure.axes)
    for row, written, ratio in zip(means.to_dict("records"), left, right, strict=True):
        assert f"{abs(100 * row['score_difference']):.2f}" in written
        assert f"{abs(100 * row['score_difference_low']):.2f}" in written
        assert written.splitlines()[-1] in ("non-inferior", "inconclusive", "worse", "better")
        assert f"{row['energy_ratio']:.2f}"[:3] in ratio


def test_an_interval_strikes_no_phase_out() -> None:
    figured = FIGURES["energy_phases"](make())
    assert figured is not None
    axes = figured.figure.axes[0]
    bars = [patch for patch in axes.patches if patch.get_width() > 0]
    for line in axes.lines:
        height = line.get_ydata()[0]
        assert not any(bar.get_y() < height < bar.get_y() + bar.get_height() for bar in bars)
