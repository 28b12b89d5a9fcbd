"""Every name that is printed has an entry, and the entries say what the scorers declare."""

from collections.abc import Mapping

import pytest

from unlearn_bench import glossary
from unlearn_bench.cli import _inside, main
from unlearn_bench.comparison.metric_info import known
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import DESCRIPTIVE
from unlearn_bench.reproduce import STUDIES
from unlearn_bench.schema import MetricValue
from unlearn_bench.scorers import SCORERS
from unlearn_bench.tasks_index import describe_tasks

SCORER_METRICS = [*DESCRIPTIVE, *(metric for name in SCORERS.names() for metric in SCORERS.get(name).metrics)]


@pytest.mark.parametrize("name", sorted({m.name for m in SCORER_METRICS} | set(known())))
def test_every_metric_is_explained_in_full(name):
    entry = glossary.find(name)
    assert (entry.kind, entry.name) == ("metric", name)
    assert entry.range
    assert entry.better
    assert entry.formula or entry.source


@pytest.mark.parametrize("metric", SCORER_METRICS, ids=lambda m: m.name)
def test_directions_and_ranges_are_those_of_the_scorers(metric):
    entry = glossary.find(metric.name)
    said = {role: word for role, text in entry.better.items() if (word := text.split(",")[0]) in ("higher", "lower")}
    if isinstance(metric.higher_is_better, Mapping):
        declared = metric.higher_is_better.items()
        assert said == {role: "higher" if higher else "lower" for role, higher in declared}
    else:
        assert set(said.values()) == {True: {"higher"}, False: {"lower"}, None: set()}[metric.higher_is_better]
    low, high = (f"{bound:g}" for bound in metric.bounds)
    start = f"{low} .. {high.replace('e+06', 'e6')}" if high != "inf" else f"{low} and above"
    assert entry.range.startswith(start)


def test_every_option_task_and_column_is_explained():
    options = {key for name in SCORERS.names() for key in SCORERS.get(name).options} | set(profiles.SETTINGS)
    assert {name: glossary.find(name).kind for name in options} == dict.fromkeys(options, "option")
    assert all(glossary.describe(name) for name, _ in describe_tasks())
    titles = {column.title for study in STUDIES.names() for column in STUDIES.get(study).columns}
    assert {title for title in titles if glossary.find(title) is None} == set()
    assert all(glossary.find(name).kind == "diagnostic" for names in _inside.HEADLINES.values() for name in names)


def test_every_printed_column_is_explained():
    from unlearn_bench.comparison.compare import COLUMNS as COMPARED
    from unlearn_bench.comparison.output import COLUMNS as CHECKED
    from unlearn_bench.meta import document, table
    from unlearn_bench.result_table import COLUMNS as PRINTED
    from unlearn_bench.result_table import STRESS_COLUMNS, SUBROWS

    said = {*PRINTED, *SUBROWS, *STRESS_COLUMNS, *CHECKED, *COMPARED, *document.COLUMNS, *table.COLUMNS, *table.BESIDE}
    assert {name for name in said - {"task", "metric"} if not glossary.describe(name)} == set()


def test_names_are_found_as_they_are_printed():
    assert glossary.find("nano_kfr/kfr").name == "kfr"
    assert glossary.find("depth/uds").name == "uds"
    assert glossary.find("--similarity").name == "embedder"
    assert [entry.kind for entry in glossary.lookup("ls")] == ["metric", "task"]
    assert {entry.name for entry in glossary.lookup("nano_*rouge")} == {"nano_rouge", "nano_retain_rouge"}
    assert glossary.describe("nothing of the kind") is None


def test_no_placeholder_is_left_and_references_exist():
    for entry in glossary.entries():
        assert not set("{}") & set(entry.name + entry.what)
        assert entry.same_as is None or glossary.find(entry.same_as)
        assert all(isinstance(text, str) for text in entry.better.values()), entry.name


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean"):
        glossary.lookup("fluencyy")
    with pytest.raises(UserError, match="unknown name 'zz\\*'"):
        glossary.lookup("zz*")


def test_explain_prints_entries_and_lists(capsys):
    assert main(["explain", "kfr", "subject_share"]) == 0
    out = capsys.readouterr().out
    assert "kfr  (metric)" in out
    assert "eq. 1" in out
    assert main(["explain"]) == 0
    out = capsys.readouterr().out
    assert all(entry.name in out for entry in glossary.entries())


def unexplained(tables: dict[str, dict[str, MetricValue]]) -> set[str]:
    """Names of a diagnosis that have no entry; `diagnostics/test_diagnose.py` asks it of a whole one."""
    named = {name for table in tables.values() for name in table}
    return {name for name in named if (e := glossary.find(name)) is None or e.kind != "diagnostic"}
