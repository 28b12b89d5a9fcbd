"""File name = key; a miss names the nearest."""

import sys

import pytest

from unlearn_bench.errors import UserError
from unlearn_bench.registry import Registry, did_you_mean


@pytest.fixture
def registry(tmp_path, monkeypatch):
    package = tmp_path / "fake_scorers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "alpha.py").write_text("SCORER = 'the alpha scorer'")
    (package / "helper.py").write_text("OTHER = 1")
    (package / "_hidden.py").write_text("SCORER = 'hidden'")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Registry("scorer", "fake_scorers", "SCORER")
    for name in [n for n in sys.modules if n.startswith("fake_scorers")]:
        del sys.modules[name]


def test_members_are_public_files_that_define_the_attribute(registry):
    assert registry.names() == ["alpha"]
    assert registry.get("alpha") == "the alpha scorer"


@pytest.mark.parametrize(
    ("name", "words"), [("alhpa", "did you mean alpha"), ("zzz", "known: alpha"), ("helper", "alpha")]
)
def test_a_miss_helps(registry, name, words):
    with pytest.raises(UserError, match=words):
        registry.get(name)


def test_third_parties_join_by_entry_point(registry, monkeypatch):
    from importlib.metadata import EntryPoint

    from unlearn_bench import registry as module

    entry = EntryPoint(name="beta", value="fake_scorers._hidden", group="fake_scorers")
    monkeypatch.setattr(module, "entry_points", lambda group: [entry] if group == "fake_scorers" else [])
    assert registry.names() == ["alpha", "beta"]
    assert registry.get("beta") == "hidden"


def test_an_unknown_name_lists_no_more_names_than_can_be_read() -> None:
    error = did_you_mean("name", "zzzz", [f"n{i:03}" for i in range(100)])
    assert error.hint.endswith("n038, n039 and 60 more")
