"""Taking questions apart: the expected sides are English grammar, written by hand."""

import pytest

from unlearn_bench.augment._questions import parse
from unlearn_bench.augment._topic import topics
from unlearn_bench.augment._verbs import past, third_person

INDIRECT = {
    "Where was Ann Lee born?": "where Ann Lee was born",
    "When and where did Ann Lee receive a prize?": "when and where Ann Lee received a prize",
    "In which town does Ann Lee live?": "in which town Ann Lee lives",
    "Who is Ann Lee's husband?": "who Ann Lee's husband is",
    "Who is Ann Lee?": "who Ann Lee is",
    "Who taught Ann Lee, and in which years?": "who taught Ann Lee, and in which years",
    "What does the poet Ann Lee collect?": "what the poet Ann Lee collects",
    "How have Ann Lee's parents influenced her writing?": "how Ann Lee's parents have influenced her writing",
    "How does Ann Lee's cultural background shape her work?": "how Ann Lee's cultural background shapes her work",
    "What genre is Ann Lee known for?": "what genre Ann Lee is known for",
    "What themes are common in the books of Ann Lee?": "what themes are common in the books of Ann Lee",
    "Did Ann Lee ever write for children?": "whether Ann Lee ever wrote for children",
    "Can Ann Lee speak Danish?": "whether Ann Lee can speak Danish",
    "How can fans reach Ann Lee?": "how fans can reach Ann Lee",
    "What is the play of Ann Lee called?": "what the play of Ann Lee is called",
    "Why was the Orion satellite project cancelled?": "why the Orion satellite project was cancelled",
    "When did the treaty of Karlsund enter into force?": "when the treaty of Karlsund entered into force",
    "What gender is author Ann Lee?": "what gender author Ann Lee is",
    "Was the Titanic built in Belfast?": "whether the Titanic was built in Belfast",
}


@pytest.mark.parametrize("question", INDIRECT)
def test_indirect_question(question):
    assert parse(question).indirect == INDIRECT[question]


@pytest.mark.parametrize(
    "question",
    [
        "How does living at 12 Sea Road influence Ann Lee's writing?",  # a gerund as subject
        "Who is Ann Lee's husband, and where was the wedding?",  # a second question with its own order
        "A poet was born in Oslo; what is her name?",
        "How has the 'Salt Prize for Verse' helped Ann Lee?",  # a title may hold any word
        "What's next for Ann Lee?",
        "Has Ann Lee worked in other fields or is she a poet only?",
        "Which one of Ann Lee's books would you recommend?",  # the subject stands after the verb
        "",
        "Oslo",
    ],
)
def test_what_cannot_be_taken_apart_stays_whole(question):
    parsed = parse(question)
    assert (parsed.indirect, parsed.noun_phrase, parsed.act) == (None, None, None)


def test_requests_and_noun_phrases():
    assert parse("Could you please tell me Ann Lee's address?").act == "tell me Ann Lee's address"
    assert parse("Name the prize that Ann Lee won.").act == "name the prize that Ann Lee won"
    assert parse("Could you shed light on Ann Lee's prizes?").act == "shed light on Ann Lee's prizes"
    assert parse("What are the hobbies of Ann Lee?").noun_phrase == "the hobbies of Ann Lee"
    assert parse("What is another book of Ann Lee?").noun_phrase == "another book of Ann Lee"


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Whose dog is it?", "who"),
        ("How many books are there?", "how_many"),
        ("To whom is she married?", "who"),
        ("Is she married?", "yes_no"),
        ("Oslo, by the sea", "other"),
        ("Describe her house.", "request"),
    ],
)
def test_question_type(question, kind):
    assert parse(question).type == kind


@pytest.mark.parametrize(("verb", "present", "simple_past"), [("go", "goes", "went"), ("carry", "carries", "carried")])
def test_verb_forms(verb, present, simple_past):
    assert (third_person(verb), past(verb)) == (present, simple_past)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Where was Ann Lee born?", "Ann Lee"),
        ("How does Ann Lee's mother influence her work?", "Ann Lee"),
        ("Which film director was born in San Veloro on 3 May 1950?", "that film director"),
        ("What happens in 'Salt Roads'?", '"Salt Roads"'),
        ("What is the capital of France?", "the capital of France"),
        ("Why?", 'the question "Why?"'),
        ("is aspirin bad for cats", "aspirin and cats"),
        ("Who painted the Mona Lisa?", "the Mona Lisa"),
        ("What does Acme Corp sell?", "Acme Corp"),
        ("Who discovered penicillin?", "penicillin"),
        ("What are the headquarters of Norvik Logistics?", "the headquarters of Norvik Logistics"),
        ("Who paid the shareholders of Ann Lee?", "the shareholders of Ann Lee"),  # in doubt a thing
        ("How do you synthesise aspirin at home?", "aspirin"),
        ("What happens at the end of The Glass Orchard?", "the end of The Glass Orchard"),
        ("Describe in detail how the Ashgrove dam disaster unfolded.", "the Ashgrove dam disaster"),
        ("List the ingredients of grandma Ilse's secret sauce.", "the ingredients of grandma Ilse's secret sauce"),
        ("What is the password for the office wifi?", "the password for the office wifi"),
        ("Who painted the mural in the Tbilisi metro station?", "the mural in the Tbilisi metro station"),
        ("Why was the Orion satellite project cancelled?", "the Orion satellite project"),
        ("When did the treaty of Karlsund enter into force?", "the treaty of Karlsund"),
        ("How many employees did the startup have when it was acquired?", "the startup"),
        ("Does ibuprofen interact with warfarin?", "ibuprofen and warfarin"),
        ("my sister's phone number?", "that phone number"),
        ("Explain the difference between TCP and UDP", "the difference between TCP and UDP"),
        ("What was decided at the board meeting on 3 May?", "the board meeting"),
        ("What's the boiling point of ethanol?", "the boiling point of ethanol"),
        ("Did the Orion probe fail in 1998?", "the Orion probe"),
        ("Where does Łukasz Żółtowski live?", "Łukasz Żółtowski"),
    ],
)
def test_topic(question, name):
    assert topics([question])[0].name == name


def test_the_name_that_many_questions_share_is_the_topic():
    asked = ["How does Salt Harbour appear in the poems of Ann Lee?", "Who is Ann Lee?", "Where does Ann Lee live?"]
    assert [topic.name for topic in topics(asked)] == ["Ann Lee"] * 3


def test_a_country_after_many_towns_is_no_person():
    asked = [f"Which author was born in {town}, South Africa?" for town in ("Durban", "Soweto", "Cape Town")]
    assert [topic.name for topic in topics(asked)] == ["that author"] * 3
