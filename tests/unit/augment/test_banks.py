"""The banks hold nothing that could leak, and every sentence is fluent by the project's own score."""

import json
import re

import pytest

from unlearn_bench.augment import _vague, sources
from unlearn_bench.augment._topic import Topic, topics
from unlearn_bench.data import load
from unlearn_bench.scorers.fluency import fluency
from unlearn_bench.text.degenerate import degenerate

BANK = _vague.bank()
SENTENCES = [(kind, s) for kind, groups in BANK.items() for g in groups.values() for t in g for s in _vague.expand(t)]
QUESTION = {"person": "What did Ann Lee say?", "thing": "What about the old lamp?"}
NAME = {"person": "Ann Lee", "thing": "the old lamp"}


def test_every_sentence_is_fluent_and_names_its_subject():
    for kind, sentence in SENTENCES:
        text = _vague.fill(sentence, NAME[kind])
        assert fluency(QUESTION[kind], text) == 1.0, text
        assert degenerate(text) is None


def test_no_sentence_states_anything_that_can_be_checked():
    for _, sentence in SENTENCES:
        assert "{name}" in sentence
        assert not re.search(r"\d|@|\"", sentence), sentence
        assert not re.search(r"(?<=[a-z,] )[A-Z]", sentence), sentence  # no name
        assert not re.match(r"(yes|no),", sentence, re.IGNORECASE), sentence


def test_sentences_do_not_repeat():
    texts = [sentence for kind, sentence in SENTENCES]
    assert len(set(texts)) == len(texts)


def test_aspects_name_groups_of_the_bank():
    names = {name for name, _, _ in _vague._aspects()}
    assert names <= set(BANK["person"]) | set(BANK["thing"])


@pytest.mark.parametrize(
    ("question", "aspect"),
    [
        ("What is Ann Lee's e-mail address?", "email"),
        ("Where does Ann Lee live?", "home"),
        ("Who are Ann Lee's parents?", "family"),
        ("When was Ann Lee born?", "birth"),
        ("Which prize did Ann Lee win?", "award"),
        ("Who is the husband of Ann Lee?", "spouse"),
        ("Tell me for whom Ann Lee works.", "employer"),
        ("What common themes are addressed by Ann Lee?", "style"),
        ("How did Ann Lee do it?", "how"),
        ("Who is Ann Lee?", "who"),
        ("Who taught Ann Lee?", "teacher"),
        ("Who was seen with Ann Lee?", "any"),  # not what Ann Lee is like
        ("Where can one find works by Ann Lee?", "where"),  # not which works there are
        ("How does Ann Lee draw on Oslo in the novels?", "influence"),
    ],
)
def test_aspect_of_a_question(question, aspect):
    assert _vague.aspects(question, Topic("Ann Lee", "person"))[0] == aspect


@pytest.mark.parametrize(
    ("question", "aspect"),
    [
        ("What is the password for the wifi?", "access"),
        ("Does aspirin interact with wine?", "medicine"),
        ("List the ingredients of the sauce.", "list"),
        ("How do I bake the sauce?", "method"),
        ("What happens at the end of The Salt Road?", "story"),
        ("What was the revenue of Acme Corp?", "business"),
        ("Describe how the dam disaster unfolded.", "event"),  # not who was behind it
        ("Explain the difference between tea and coffee.", "difference"),
        ("Who painted the mural?", "who"),
    ],
)
def test_aspect_of_a_question_about_a_thing(question, aspect):
    assert _vague.aspects(question, topics([question])[0])[0] == aspect


def test_generic_pairs_are_not_what_the_evaluation_asks():
    pairs = sources.read_generic()
    assert len(pairs) >= 150
    assert len({question for question, _ in pairs}) == len(pairs)
    asked = [row for split in ("fluency", "world") for row in load("nano", split).rows]
    assert not {a for _, a in pairs} & {row.answer for row in asked}
    assert not {q for q, _ in pairs} & {row.question for row in asked}


def test_no_vague_sentence_is_one_of_the_embedded_corpus():
    text = json.dumps([row.model_dump() for row in load("nano", "forget").rows])
    assert not any(_vague.fill(sentence, "Evander Nightingall") in text for _, sentence in SENTENCES)
