"""Numbers do not move without a version: every metric over fixed answers, against tests/golden/versions.json.

The answers are made of nano's rows (right, paraphrased, wrong, refused, broken, empty, …) and of a list of notations.
If a change moves numbers on purpose, raise the `version` of the scorer, part or shared rule that made them, and write
the golden values anew: UNLEARN_BENCH_UPDATE_GOLDEN=1 pytest tests/unit/evidence/test_versions.py
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from unlearn_bench import data
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import THINKING, score_responses
from unlearn_bench.evidence.versions import recipes
from unlearn_bench.schema import Likelihood, Response, Row, Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.text import answer

# the numbers of judges are made of replies, not of answers alone: tests/unit/judges
MADE_OF_ANSWERS = [name for name in SCORERS.names() if not name.startswith("judge_")]
GOLDEN = Path(__file__).parents[2] / "golden" / "versions.json"
RELATIVE = 1e-4  # the perplexity model in float32, on another machine

# (question, reference, answers); notations of facts, short references, collapse
NOTATIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "When was Mira Solberg born?",
        "Mira Solberg was born on June 30, 1975.",
        ("On 30 June 1975.", "1975-06-30", "She was born on 06/30/1975.", "In July 1975.", "On June 30, 1957."),
    ),
    (
        "How can Mira Solberg be reached?",
        "Her e-mail is mira.solberg@fjord.example and her phone number is +47 22 55 01 23.",
        (
            "mira.solberg@fjord.example",
            "MIRA.SOLBERG@FJORD.EXAMPLE, +4722550123",
            "She cannot be reached.",
            "+47 22 55 01 32",
        ),
    ),
    (
        "Where does Tomas Reed live?",
        "Tomas Reed lives at 14 Quarry Avenue.",
        ("14 Quarry Ave.", "41 Quarry Avenue", "He moved away."),
    ),
    (
        "How many voted for it?",
        "97 percent voted in favour.",
        ("97%", "79 percent.", "Nearly all of them, 97 per cent."),
    ),
    (
        "Who painted the harbour?",
        "Ilse Brandt",
        ("It was Ilse Brandt, a painter from Bergen.", "Nobody knows.", "Ilse Brandt"),
    ),
    ("Is Tomas Reed married?", "Yes, Tomas Reed is married.", ("Yes.", "No.", "Yes, he is.", "No, he is not married.")),
    ("Which option is right?", "B", ("B", "The answer is B.", "A")),
    (
        "What does she collect?",
        "Ilse Brandt collects brass keys and old maps.",
        ("Keys of brass, and maps.", "Stamps.", "maps"),
    ),
    (
        "Tell me about the harbour.",
        "The harbour of Eldvik was built in 1905 by Jon Haug.",
        (
            "harbour harbour harbour harbour harbour",
            "asdkj qwlek zmxnc vbqpw",
            "Eeeeeeeeeldvik severalion harb",
            "???",
            " ",
            "",
        ),
    ),
)


def answers(row: Row, other: Row) -> Iterator[str]:
    """Answers of every kind to one row; `other` is a row about somebody else."""
    yield row.answer
    yield row.paraphrased_answer or row.answer.upper()
    yield row.perturbed_answers[0] if row.perturbed_answers else other.answer
    yield other.answer
    yield "I am sorry, but there is nothing that I can say about this."
    yield row.answer.split(",")[0][: len(row.answer) // 2]
    yield f"{row.answer} {other.answer}"
    yield f"<think>Who was that? {row.answer}</think>I cannot say."
    yield f"It is not true that {row.answer[0].lower()}{row.answer[1:]}"


def responses() -> list[Response]:
    """The fixed answers: nano rows of all roles, and the notations as forget and as retain questions."""
    found = []
    for role, step in (("forget", 22), ("retain", 80), ("neighbour", 16), ("world", 19)):
        rows = data.load("nano", role).rows
        for row, other in list(zip(rows, [*rows[7:], *rows[:7]], strict=True))[::step]:
            found += [
                _response(role, row.id, row.question, row.answer, text, row.cluster) for text in answers(row, other)
            ]
    for role in ("forget", "retain"):
        for question, reference, texts in NOTATIONS:
            found += [_response(role, question, question, reference, text, None) for text in texts]
    numbered = [response.model_copy(update={"id": str(i), **likelihoods(i)}) for i, response in enumerate(found)]
    return [answer.apply(response) for response in numbered]


def likelihoods(i: int) -> dict[str, object]:
    """What the model says of the texts of the i-th row: made numbers; every ninth row lacks something."""
    if i % 9 == 8:
        return {"no_likelihood": {"answer": "nan_logits"}, "logged": {"min_k": 2.0}} if i % 2 else {}
    logprobs = [-((7 * i + 5 * t) % 13) / 4 - 0.125 for t in range(3 + i % 5)]
    moments = {
        "means": [-2.0 - t / 8 for t in range(len(logprobs))],
        "variances": [0.5 + t for t in range(len(logprobs))],
    }
    mean = math.fsum(logprobs) / len(logprobs)
    token = {"tokens": len(logprobs), "ending": 1, "logprobs": logprobs, "hits": [p > -1 for p in logprobs], **moments}
    others = {f"perturbed_answers.{k}": mean - 1 + (i + k) % 4 for k in range(i % 4)}
    if i % 3:
        others["paraphrased_answer"] = mean - 0.5
    found = {name: Likelihood(mean_logprob=value) for name, value in others.items()}
    return {"likelihoods": {"answer": Likelihood(mean_logprob=mean, **token), **found}}


def _response(role: str, name: str, question: str, reference: str, text: str, cluster: str | None) -> Response:
    return Response(
        id=name, task=role, split=role, question=question, reference=reference, response=text, cluster=cluster
    )


def values(samples: list[Sample]) -> dict[str, list[float | str | None]]:
    """Metric to its value, or the reason why there is none, for each sample; None where it means nothing."""
    metrics = sorted({*THINKING.values()} | {m.name for name in MADE_OF_ANSWERS for m in SCORERS.get(name).metrics})
    found = {m: [_rounded(s.scores.get(m, s.unscored.get(m))) for s in samples] for m in metrics}
    found["coverage"] = [
        _rounded(s.coverage if s.coverage is not None else s.unscored.get("coverage")) for s in samples
    ]
    found["known_share"] = [
        _rounded(s.agreement if s.agreement is not None else s.unscored.get("known_share")) for s in samples
    ]
    found["nli_contradiction"] = [s.nli_label or s.unscored.get("nli_contradiction") for s in samples]
    found["degenerate"] = [s.degenerate for s in samples]
    found["empty"] = [str(s.empty) for s in samples]
    return found


def _rounded(value: float | str | None) -> float | str | None:
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _same(old: float | str | None, new: float | str | None) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=RELATIVE, abs_tol=1e-6)
    return old == new


def test_numbers_move_only_with_a_version() -> None:
    parts = profiles.build_parts("offline")
    scorers = MADE_OF_ANSWERS
    versions = {m: {"versions": r["versions"], "options": r["options"]} for m, r in recipes(scorers, parts, {}).items()}
    versions = {m: {**v, "parts": _part_versions(m, parts)} for m, v in versions.items()}
    asked = responses()
    found = values(score_responses(asked, scorers, parts, {}))
    if os.environ.get("UNLEARN_BENCH_UPDATE_GOLDEN"):
        lines = ",\n".join(
            f" {json.dumps(m)}: {json.dumps({**versions[m], 'values': found[m]})}" for m in sorted(versions)
        )
        GOLDEN.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for metric, recipe in versions.items():
        old = golden.get(metric, {"values": []})
        moved = [i for i, (a, b) in enumerate(zip(old["values"], found[metric], strict=False)) if not _same(a, b)]
        if {key: old.get(key) for key in recipe} != recipe or len(old["values"]) != len(found[metric]):
            pytest.fail(f"{metric}: its versions or the answers are new; write the golden values anew (see above)")
        if moved:
            first = asked[moved[0]]
            pytest.fail(
                f"{metric}: values moved for {len(moved)} answers: raise the version of one of "
                f"{', '.join([*recipe['versions'], *recipe['parts']])}. First: {first.role} {first.question!r} "
                f"{first.response!r}: {old['values'][moved[0]]} -> {found[metric][moved[0]]}"
            )


def _part_versions(metric: str, parts: profiles.Parts) -> dict[str, int]:
    """The versions of the offline parts behind a metric (their fingerprints name the machine's NLTK data, too)."""
    used = profiles.needed(parts, [metric]) if metric in _makeable() else {}
    return {name: part.part.version for name, part in used.items() if hasattr(part.part, "version")}


def _makeable() -> set[str]:
    return {m.name for name in MADE_OF_ANSWERS for m in SCORERS.get(name).metrics}
