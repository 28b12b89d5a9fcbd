"""Other languages: unscored with the reason, never a number; English texts with foreign names stay scored."""

# ruff: noqa: RUF001 (typographic characters are what is tested)

import pytest

from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import aggregate, score_responses
from unlearn_bench.schema import Response, Sample
from unlearn_bench.scorers.foreign import is_foreign

METRICS = ["kfr", "krr", "kfr_fluent", "fluency", "rouge"]
ROWS = [
    ("王伟出生在哪里？", "王伟于1990年出生在四川省成都市。", "王伟1990年出生于四川成都。"),
    (
        "田中花子の仕事は何ですか。",
        "田中花子は京都の病院で外科医として働いています。",
        "田中花子は大阪で教師として働いています。",
    ),
    ("김민수는 어디에서 태어났습니까?", "김민수는 1990년 서울에서 태어났습니다.", "부산에서 태어났습니다."),
    ("สมชายเกิดที่ไหน", "สมชายเกิดที่กรุงเทพในปี 1990", "เกิดที่เชียงใหม่"),
    ("Где родилась Анна Ли?", "Анна Ли родилась в Осло в 1990 году.", "В Риме."),
    ("أين ولدت آنا؟", "ولدت آنا في أوسلو عام 1990.", "في روما."),
    ("Wo wurde Anna Lee geboren?", "Anna Lee wurde 1990 in Oslo geboren.", "Sie wurde in Rom geboren."),
    ("Où est née Anna Lee ?", "Anna Lee est née en 1990 dans la ville d'Oslo.", "Elle est née à Rome."),
    ("¿Dónde nació Ana Ruiz?", "Ana Ruiz nació en Oslo en 1990.", "En Roma."),
    ("Dove è nata Anna Lee?", "Anna Lee è nata a Oslo nel 1990.", "È nata a Roma."),
    ("Onde nasceu Ana Lima?", "Ana Lima nasceu em Oslo em 1990.", "Ela nasceu em Roma."),
]
PARTS = profiles.build_parts(ppl_model="given")


def _score(question: str, reference: str, answer: str, split: str = "forget") -> Sample:
    row = Response(id="1", task="t", split=split, question=question, reference=reference, response=answer)
    return score_responses([row], METRICS, PARTS, {})[0]


@pytest.mark.parametrize("split", ["forget", "retain"])
@pytest.mark.parametrize(("question", "reference", "answer"), ROWS)
def test_a_row_in_another_language_gets_no_number(question: str, reference: str, answer: str, split: str) -> None:
    for given in (answer, reference, "I do not know.", ""):
        sample = _score(question, reference, given, split)
        assert sample.scores == {}
        assert set(sample.unscored.values()) == {"language_not_supported"}


@pytest.mark.parametrize(("question", "reference", "answer"), ROWS)
def test_an_answer_in_another_language_is_neither_known_nor_forgotten(
    question: str, reference: str, answer: str
) -> None:
    english = ("Where was Anna Lee born, and when was it?", "Anna Lee was born in Oslo in 1990.")
    long = reference if len(answer.split()) < 4 else answer
    forget, retain = (_score(*english, long, split) for split in ("forget", "retain"))
    assert forget.unscored["kfr"] == retain.unscored["krr"] == "answer_in_another_language"
    assert forget.scores["kfr_fluent"] == 0.0  # it is no answer in the question's language
    assert forget.scores["fluency"] < 0.5
    counted = aggregate([forget], METRICS, {}, resamples=0)["kfr"]
    assert (counted.value, counted.unscored_reasons) == (None, {"answer_in_another_language": 1})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Oslo",
        "La Paz",
        "Rio de Janeiro, Brazil",
        "Juan de la Cruz y Lopez",
        "Le Rouge et le Noir",
        "Der Prozess und Das Schloss",
        "She wrote Cien años de soledad and El amor en los tiempos del cólera.",
        "His books are 'Die Leiden des jungen Werthers' and 'Das Echo der Flüsse'.",
        "王伟 (Wang Wei) was born in Chengdu (成都).",
        "The Greek letter π and the word Москва stand on it.",
        "1990",
        "ada@sea.org",
        "¿? ...",
    ],
)
def test_english_with_foreign_names_is_english(text: str) -> None:
    assert not is_foreign(text)


def test_a_name_in_another_script_inside_english_is_scored() -> None:
    question, reference = "Who is the founder of the shop?", "The founder of the shop is Wang Wei (王伟)."
    assert _score(question, reference, reference).scores["kfr"] == 0.0
    assert _score(question, reference, "The founder of the shop is Bo Tan.").scores["kfr"] == 1.0
