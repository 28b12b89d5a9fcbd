import pytest

from unlearn_bench.diagnostics import _spans


def _entity(answer, *args, **kwargs):
    span = _spans.entity_span(answer, *args, **kwargs)
    return answer[span.start : span.end], span.rule


def test_the_fact_is_what_the_paraphrase_repeats_and_wrong_answers_do_not():
    # "painter" is in the question, "called" in a wrong answer, "goes" is not repeated: the name is left
    answer = "The painter who goes by that is called Mara Ilse Venn."
    found = _entity(
        answer,
        "Which painter was born in Norvik?",
        "It is Mara Ilse Venn, the painter.",
        ["The painter is called Otto Grau.", "It is Ines Holm, the painter."],
    )
    assert found == ("Mara Ilse Venn", "paraphrase")


def test_without_a_paraphrase_wrong_answers_decide():
    wrong = ["Ada's mother was a potter.", "Ada's mother was a nurse."]
    assert _entity("Ada's mother was a florist.", "What did Ada's parents do?", None, wrong) == ("florist", "perturbed")


def test_names_that_the_question_has_not():
    assert _entity("Ada Quill was born in Saint Orrin.", "Where was Ada Quill born?") == ("Saint Orrin", "names")
    assert _entity("She wrote Sails of the North.", "What did Ada write?") == ("Sails of the North", "names")
    assert _entity("Write to her at ada.q@mail.example today.", "How to reach Ada?") == ("ada.q@mail.example", "names")
    assert _entity("In all there are 291 chess sets.", "How many?")[0].startswith("291")


def test_a_capital_at_the_start_is_no_name():
    assert _entity("Painting was her trade.", "What did Ada do?")[1] == "content"


def test_content_is_the_end_of_the_sentence():
    assert _entity("She always worked as a florist.", "What did Ada do?") == ("florist", "content")


def test_an_answer_that_only_repeats_is_taken_whole():
    assert _entity("Ada was born.", "Where was Ada born?") == ("Ada was born", "answer")


@pytest.mark.parametrize("answer", ["", "…", " - "])
def test_no_words_no_entity(answer):
    assert _spans.entity_span(answer, "Where?") is None


@pytest.mark.parametrize(
    ("question", "cluster", "expected"),
    [
        ("Where was Ada Quill born?", "Ada Quill", {"ada", "quill"}),
        ("Where was Quill's mother born?", "Ada Quill", {"ada", "quill"}),
        ("Where was Ada Quill born?", "author-3", {"ada", "quill"}),  # the cluster is no name: the longest run is
        ("Has Ben Al-Amin of Tessaly won?", None, {"ben", "al-amin", "tessaly"}),
        ("Who lives at 12 Elm Lane?", None, {"12", "elm", "lane"}),
        ("what is the smallest prime?", None, set()),
    ],
)
def test_subject(question, cluster, expected):
    assert _spans.subject_words(question, cluster) == expected


def test_every_mention_is_found_without_the_possessive():
    text = "Ada Quill's book; QUILL wrote it, quills did not."
    assert [text[a:b] for a, b in _spans.subject_spans(text, {"ada", "quill"})] == ["Ada", "Quill", "QUILL"]
