"""Names that a reader can tell apart: what is refused by itself, and what is too like another name."""

import pytest

from unlearn_bench.boards import audit
from unlearn_bench.untrusted import naming

KNOWN = "nano-relearn"
ALIKE = {
    "cyrillic": "nano-r\u0435learn",
    "hyphen": "nano\u2010relearn",
    "non-breaking hyphen": "nano\u2011relearn",
    "minus": "nano\u2212relearn",
    "grapheme joiner": "nano-\u034frelearn",
    "hangul filler": "nano-relearn\u3164",
    "braille blank": "nano-relearn\u2800",
    "variation selector": "nano-relearn\ufe0f",
    "choseong filler": "nano-relearn\u115f",
    "soft hyphen": "nano-re\u00adlearn",
    "combining accent": "nano-relea\u0301rn",
    "composed accent": "nano-rel\u00e9arn",
    "I for l": "nano-reIearn",
    "1 for l": "nano-re1earn",
    "0 for o": "nan0-relearn",
    "m for rn": "nano-releam",
    "case": "Nano-ReLearn",
    "space": "nano relearn",
    "underscore": "nano_relearn",
    "full width": "\uff4eano-relearn",
    "mathematical": "\U0001d427ano-relearn",
}


@pytest.mark.parametrize("name", ALIKE.values(), ids=ALIKE)
def test_look_alikes_are_found_whatever_trick_they_use(name: str) -> None:
    assert naming.alike(name, [KNOWN]) == KNOWN


@pytest.mark.parametrize(
    "name",
    ["", " ", " a", "a ", "a  b", "a\u00a0b", "a\nb", "a\tb", "x" * 101, "a\u202eb", "a\u200bb", "\ue000", "\u3164",
     "a\u2800", "a\u034fb", "\ufe0fa", "\u115fa", "na\u0307no", "e\u0301", "\u0430bc", "nano-\uab83", "\u03b1-ga"],
)  # fmt: skip
def test_names_that_hide_something_or_mix_scripts_are_refused(name: str) -> None:
    assert naming.problem(name) is not None


@pytest.mark.parametrize(
    "name",
    ["npo+gdr, seed 1", "relearn, no gdr", "m\u00e9tier", "na\u00efve-2", "\u65e5\u672c\u8a9e \u30e2\u30c7\u30eb",
     "\u0440\u0443\u0441\u0441\u043a\u0430\u044f \u043c\u043e\u0434\u0435\u043b\u044c", "<b>", "a/b"],
)  # fmt: skip
def test_honest_names_are_accepted(name: str) -> None:
    assert naming.problem(name) is None
    assert naming.alike(name, [KNOWN, "npo+gdr, seed 2", "relearn, no klr", "na\u00efve-3"]) is None


@pytest.mark.parametrize(("time", "past"), [
    ("2026-01-31T23:59:59Z", True), ("2999-01-01T00:00:00Z", False), ("2026-13-45T99:99:99Z", False),
    ("2026-02-30T00:00:00Z", False),
])  # fmt: skip
def test_entries_are_of_days_that_have_been(time: str, past: bool) -> None:
    assert audit._is_past(time) == past
