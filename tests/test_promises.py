"""What the repository says of itself holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import harness
from tests.conftest import REPOSITORY


def text(name: str) -> str:
    return (REPOSITORY / name).read_text("utf-8")


def commands_of_the_readme() -> list[str]:
    return re.findall(r"^python3 -m venv .*$", text("README.md"), flags=re.MULTILINE)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    *_, tests = commands_of_the_readme()
    assert tests in text(".ci/run").splitlines()


def test_the_workflow_calls_what_ci_calls() -> None:
    assert ".ci/run" in text(".github/workflows/checks.yml")


def test_style_and_types_are_checked_beside_the_tests() -> None:
    assert "env_list = lint, types, tests" in text("tox.ini")


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert project["version"] == harness.__version__
    assert f"version: {harness.__version__}\n" in text("CITATION.cff")


def test_constraints_pin_every_dependency_without_addresses() -> None:
    pinned = {}
    for line in text("constraints.txt").splitlines():
        if not line.startswith("#"):
            found = re.fullmatch(r"([a-z0-9._-]+)={2,3}([0-9a-z.]+)( ; .*)?", line)
            assert found, line
            pinned[found[1]] = found[2]
    project = tomllib.loads(text("pyproject.toml"))["project"]
    extras = [each for group in project["optional-dependencies"].values() for each in group]
    for wanted in [*project["dependencies"], *extras]:
        assert re.split(r"[>=<\[]", wanted)[0] in pinned, wanted


def test_the_method_of_the_readme_is_the_one_that_is_tested() -> None:
    from tests.test_main_job import PLUGIN

    shown = re.search(r"class PruneHalfway.*?(?=```)", text("README.md"), flags=re.DOTALL)
    assert shown
    assert shown[0].strip() in PLUGIN


def test_the_studies_of_the_documentation_are_whole_together() -> None:
    from harness.settings.arm_selector import Selector
    from harness.study.expand import expand
    from harness.study.registry import Registry
    from harness.study.study import Study

    plain, variants, report, tuned = re.findall(
        r"```toml.*?\n(.*?)```", text("docs/how-to/write-a-study.md"), flags=re.DOTALL
    )
    for shown, runs in (
        (plain, 12),
        (plain + variants, 24),
        (plain + variants + report, 24),
        (tuned, 6),
    ):
        study = Study(**tomllib.loads(shown))
        specs = expand(study, Registry.discover())
        assert len(specs) == runs
        for words in study.report.arms().values():
            assert len({spec.arm for spec in specs if Selector.parse(words).matches(spec)}) == 1


def test_the_pruning_rule_of_the_tutorial_is_snip(tmp_path: Path) -> None:
    import torch

    from harness import Batch
    from harness.study.registry import Registry
    from methods.snip import snip
    from tests.networks import images, make

    tutorial = text("docs/tutorials/add-a-method.md")
    shown = re.search(r'title="my_rule.py"\n(.*?)```', tutorial, flags=re.DOTALL)
    assert shown
    file = tmp_path / "my_rule.py"
    file.write_text(shown[1])
    registry = Registry()
    assert registry.add_file(str(file)) == ["my_snip"]
    mask = registry.get("my_snip")().mask()
    batch = Batch(images(), torch.arange(4))
    ours, theirs = mask.score(make("vgg"), batch), snip(make("vgg"), batch)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(score, theirs[name]) for name, score in ours.items())


def test_the_reference_names_every_method_model_data_set_and_study() -> None:
    from harness.settings.catalogue import DATA, MODELS
    from harness.study.choose import built_in_studies
    from harness.study.registry import Registry

    names = [*Registry.discover().names(), *DATA, *MODELS, *built_in_studies()]
    listed = text("docs/reference/what-there-is.md")
    assert [name for name in names if f"`{name}" not in listed] == []


def test_the_skill_names_commands_and_columns_that_there_are() -> None:
    from harness.cli.main import cli

    skill = text("skills/energy-harness/SKILL.md")
    called = set(re.findall(r"python -m harness ([a-z-]+)", skill))
    assert called - set(cli.commands) == {"dense"}, "a method, which `run` takes"
    assert re.match(r"---\nname: energy-harness\ndescription: .+\n---\n", skill)


def test_the_schema_has_every_column_of_the_tables() -> None:
    """But for facts of methods, and hyper-parameters."""
    from harness.results.folder import StudyFolder
    from harness.results.schema import TABLES, names
    from harness.results.table import Tables

    path = REPOSITORY / "benchmarks" / "quick-cpu"
    tables = Tables(path)
    specs = [run.read_spec() for run in StudyFolder(path).runs()]
    others = {"ticket_emerged", "ticket_epoch"} | {k for s in specs for k in s.hyperparameters}
    for schema in TABLES:
        columns = list(getattr(tables, schema.name).columns)
        more = set(columns) - set(names(schema))
        assert columns[: len(names(schema))] == names(schema)
        assert {name.removeprefix("method_") for name in more} <= others
    assert len(tables.runs.columns) > len(names(TABLES[0]))


def test_the_published_figures_follow_from_their_raw_records() -> None:
    import pandas as pd

    folder = REPOSITORY / "benchmarks" / "quick-cpu"
    published = pd.read_csv(folder / "runs.csv").set_index(["method", "seed"])
    derived = harness.load(folder).set_index(["method", "seed"])
    assert len(published) == 12
    for column in ("test_score", "energy_j", "uncertainty_j", "co2e_kg", "duration_s"):
        pd.testing.assert_series_equal(derived[column], published[column])
