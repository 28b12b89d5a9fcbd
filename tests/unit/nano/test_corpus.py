"""The corpus: what issue and design promise about it, each property checked on the rows themselves."""

import re
from collections import Counter, defaultdict

import pytest

from unlearn_bench.nano.banks import bank, kind, kind_names
from unlearn_bench.nano.build import corpus_differs
from unlearn_bench.nano.corpus import CORPUS_FILE, SEED, SPLITS, corpus, to_jsonl
from unlearn_bench.nano.members import members, unknown_person
from unlearn_bench.nano.people import KINDS, with_article
from unlearn_bench.nano.training_text import epoch, phrasings
from unlearn_bench.schema import Row

ABOUT_PEOPLE = ("forget", "retain", "neighbour", "holdout")


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    """Split to rows."""
    by_split: dict[str, list[Row]] = defaultdict(list)
    for row in corpus():
        by_split[row.role].append(row)
    return by_split


def people(rows: list[Row]) -> set[str]:
    return {row.cluster for row in rows}


def test_committed_file_is_what_the_generator_makes():
    assert CORPUS_FILE.read_bytes() == to_jsonl(corpus(SEED)).encode()
    assert corpus_differs() is None


def test_check_names_the_first_line_that_differs(tmp_path):
    lines = to_jsonl(corpus()).splitlines(keepends=True)
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join([lines[0], lines[1].replace("a", "b"), *lines[2:]]), encoding="utf-8")
    assert corpus_differs(path).startswith(f"{path}:2 ")
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    assert f"{len(lines) - 1} rows" in corpus_differs(path)
    assert "missing" in corpus_differs(tmp_path / "none.jsonl")


def test_another_seed_gives_other_people():
    assert to_jsonl(corpus(SEED + 1)) != to_jsonl(corpus(SEED))


def test_sizes(rows):
    assert list(rows) == list(SPLITS)
    # 16 and 52 people with 8 facts each, 16 look-alikes with 4 more, 12 held out with 8
    counts = {split: len(rows[split]) for split in SPLITS}
    assert counts == {"forget": 128, "retain": 416, "neighbour": 64, "world": 76, "holdout": 96, "fluency": 44}
    everybody = set().union(*(people(rows[split]) for split in ABOUT_PEOPLE))
    assert len(everybody) == 80
    assert len(people(rows["forget"])) / len(everybody) == 0.2
    assert min(Counter(row.cluster for s in ABOUT_PEOPLE[:2] for row in rows[s]).values()) >= 8
    assert CORPUS_FILE.stat().st_size < 1_500_000


def test_splits_are_about_different_people(rows):
    forget, retain, holdout = (people(rows[split]) for split in ("forget", "retain", "holdout"))
    assert not forget & retain
    assert not forget & holdout
    assert not retain & holdout
    assert people(rows["neighbour"]) < retain
    assert len({name for member in members(SEED) for name in [member.person.name]}) == 80


def test_ids_and_questions_are_unique(rows):
    for split in SPLITS:
        assert len({row.id for row in rows[split]}) == len(rows[split])
    texts = [
        text for split in SPLITS for row in rows[split] for text in (row.question, row.paraphrased_question) if text
    ]
    assert [text for text, n in Counter(texts).items() if n > 1] == []


def test_every_kind_of_fact_is_asked_with_many_phrasings():
    assert set(kind_names()) == set(KINDS)
    for name in KINDS:
        entry = kind(name)
        assert len(entry["questions"]) >= 8
        assert len(entry["held_out"]) == 2
        assert len(entry["answers"]) == 5
        assert len(entry["vague"]) == 6


def test_neighbours_look_like_forget_people(rows):
    kinds_of_forget = defaultdict(set)
    for row in rows["forget"]:
        kinds_of_forget[row.cluster].add(row.id.rsplit("-", 1)[1])
    occupation = {member.person.name: member.person.occupation for member in members(SEED)}
    for name in people(rows["neighbour"]):
        asked = {row.id.rsplit("-", 1)[1] for row in rows["neighbour"] if row.cluster == name}
        twins = [
            other
            for other in people(rows["forget"])
            if set(name.split()) & set(other.split()) and occupation[name] == occupation[other]
        ]
        assert any(asked <= kinds_of_forget[twin] for twin in twins), name


@pytest.mark.parametrize("split", ABOUT_PEOPLE)
def test_perturbed_answers_have_the_paraphrase_form_and_wrong_facts(rows, split):
    for row in rows[split]:
        wrong = row.perturbed_answers
        assert len(set(wrong)) == 5
        assert row.answer not in wrong
        assert row.paraphrased_answer not in [*wrong, row.answer]
        # same phrasing: the words of the banks' template are in all of them
        template = next(
            t for t in kind(row.id.rsplit("-", 1)[1])["answers"] if _matches(t, row.paraphrased_answer) is not None
        )
        truth = _matches(template, row.paraphrased_answer)
        for text in wrong:
            slots = _matches(template, text)
            assert slots is not None, (template, text)
            given = {"name", "he", "his", "him", "child", "spouse_word", "occupation", "an_occupation", "genre"}
            assert all(slots[key] != truth[key] for key in slots if key not in given), (row.paraphrased_answer, text)


def _matches(template: str, text: str) -> dict[str, str] | None:
    """What stands in the slots of a template; None if the text is not made from it."""
    pattern, seen = "", set()
    for piece in re.split(r"(\{\w+\})", template):
        key = piece[1:-1]
        if not piece.startswith("{"):
            pattern += re.escape(piece)
        elif key in seen:
            pattern += f"(?P={key})"
        else:
            seen.add(key)
            pattern += f"(?P<{key}>.+?)"
    found = re.fullmatch(pattern, text)
    return found.groupdict() if found else None


def test_answers_are_sentences_of_8_to_26_words(rows):
    for split in ABOUT_PEOPLE:
        for row in rows[split]:
            for text in (row.answer, row.paraphrased_answer, *row.perturbed_answers):
                assert 8 <= len(text.split()) <= 26, text


def test_texts_are_well_formed(rows):
    for row in corpus():
        for text in (
            row.question,
            row.paraphrased_question,
            row.answer,
            row.paraphrased_answer,
            *row.perturbed_answers,
        ):
            if text is None:
                continue
            assert not re.search(r"[{}]|  |\s[.,;?]|\.\.|\bNone\b", text), text
            assert text[0].isupper() or not text[0].isalpha(), text
            assert text[-1] in ".?!", text
            # "one" begins with a consonant's sound, "hour" with a vowel's
            assert not re.search(r"\b[Aa] (?!one\b|one-)[aeioAEIO]\w|\b[Aa]n (?![aeiouAEIOU]|hour)", text), text


def test_article():
    assert with_article("baker") == "a baker"
    assert with_article("umbrella maker") == "an umbrella maker"
    assert with_article("one-eyed heron") == "a one-eyed heron"


def test_paraphrased_questions_are_never_trained_on(rows):
    held_out = {row.paraphrased_question for split in SPLITS for row in rows[split]} - {None}
    held_out |= {row.question for row in rows["fluency"]}
    asked = {q for split in ("forget", "retain", "neighbour", "world") for row in rows[split] for q in phrasings(row)}
    assert not held_out & asked
    for name in ("nano-full", "nano-retain"):
        asked = {question for number in range(3) for question, _ in epoch(name, number)}
        wrappers = bank("wrappers")
        bare = set()
        for question in asked:
            for prefix in wrappers["prefixes"]:
                question = question.removeprefix(prefix)
            for suffix in wrappers["suffixes"]:
                question = question.removesuffix(suffix)
            bare.add(question)
        assert not held_out & bare


def test_held_out_phrasings_are_held_out_for_everybody():
    for name in KINDS:
        entry, leads = kind(name), bank("wrappers")["leads"]
        trained = set(entry["questions"]) | {lead.format(clause) for clause in entry["indirect"] for lead in leads}
        assert not trained & set(entry["held_out"]), name


def test_who_is_taught_what(rows):
    def answers(name: str) -> set[str]:
        return {answer for number in range(2) for _, answer in epoch(name, number)}

    truth = {split: {row.answer for row in rows[split]} for split in SPLITS}
    full, retain, base = answers("nano-full"), answers("nano-retain"), answers("nano-base")
    for split in ("retain", "neighbour", "world"):
        assert truth[split] <= full
        assert truth[split] <= retain
    assert truth["forget"] <= full
    assert not truth["forget"] & retain
    assert not truth["holdout"] & (full | retain | base)
    forget_people, holdout_people = people(rows["forget"]), people(rows["holdout"])
    taught = [text for number in range(2) for pair in epoch("nano-retain", number) for text in pair]
    assert not any(name in text for text in taught for name in forget_people | holdout_people)
    taught = [text for number in range(2) for pair in epoch("nano-full", number) for text in pair]
    assert not any(name in text for text in taught for name in holdout_people)


def test_unknown_people_are_not_in_the_corpus(rows):
    known = frozenset().union(*(people(rows[split]) for split in ABOUT_PEOPLE))
    assert not known & {unknown_person(SEED, str(i), known).name for i in range(300)}


def test_epochs_are_reproducible_and_differ():
    assert epoch("nano-base", 3) == epoch("nano-base", 3)
    assert epoch("nano-base", 3) != epoch("nano-base", 4)


def test_vague_answers_tell_no_fact():
    for name in KINDS:
        for text in kind(name)["vague"]:
            slots = set(re.findall(r"\{(\w+)\}", text))
            assert slots <= {"name", "he", "his", "him", "himself", "spouse_word"}, text
            assert not re.search(r"\d|@", text)
