"""One module of NLTK, without all that its packages import."""

import sys

import pytest

from unlearn_bench.text.light_nltk import light_nltk


def of_nltk() -> dict[str, object]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "nltk"}


@pytest.fixture
def not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in of_nltk():
        monkeypatch.delitem(sys.modules, name)


def test_only_the_module_is_imported_and_nothing_is_left(not_imported: None) -> None:
    with light_nltk():
        from nltk.stem import porter

        assert "nltk.chunk" not in sys.modules
        with light_nltk():  # within itself nothing changes
            assert sys.modules["nltk.stem.porter"] is porter
    assert of_nltk() == {}
    assert porter.PorterStemmer().stem("running") == "run"


def test_a_failure_leaves_nothing_either(not_imported: None) -> None:
    with pytest.raises(ImportError), light_nltk():
        import nltk.no_such_module  # noqa: F401
    assert of_nltk() == {}


def test_what_is_imported_already_is_taken(monkeypatch: pytest.MonkeyPatch, not_imported: None) -> None:
    for name in ("nltk", "nltk.stem"):
        monkeypatch.setitem(sys.modules, name, pytest)
    with light_nltk():
        assert sys.modules["nltk"] is pytest
    assert sys.modules["nltk.stem"] is pytest


def test_without_nltk_the_import_says_so(monkeypatch: pytest.MonkeyPatch, not_imported: None) -> None:
    monkeypatch.setattr("unlearn_bench.text.light_nltk.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    with pytest.raises(ModuleNotFoundError), light_nltk():
        import nltk  # noqa: F401
