"""The evidence of a sample: coverage, inference, agreement, perplexity, verdicts. Gathered for all samples together.

Each part is called once, over the distinct inputs. A part that returns `Unscored` or a number that is not finite for
one item leaves the reason in that sample's `unscored`, under "coverage", "nli_contradiction", "known_share"
(agreement), "perplexity", "mean_logprob" (wording), "judge_forget", … A part that the profile does not have leaves a
reason too (agreement and wording leave none), and a part named "given" takes what came with the response.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from unlearn_bench.errors import UserError
from unlearn_bench.evidence.coverage import coverage, without_question
from unlearn_bench.schema import CANNOT_READ, Given, Sample, Verdict
from unlearn_bench.scorers.base import Inference, Need, Parts, Unscored
from unlearn_bench.scorers.foreign import unsupported
from unlearn_bench.scorers.perplexity import empty_perplexity
from unlearn_bench.text.degenerate import is_empty

GIVEN = "given"
NOT_CHECKED = Unscored("no_reference_to_check_judge")
# How each kind of evidence is gathered; raise one with any change that moves it: see versions.py.
VERSIONS: Mapping[Need, int] = {
    **{"coverage": 4, "nli": 3, "agreement": 1, "perplexity": 2, "wording": 1},
    **dict.fromkeys(("judge_forget", "judge_retain", "judge_fluency", "judge_relevance"), 1),
}
FORGET_ROLES = frozenset({"forget", "holdout"})  # the answer is the premise there (ReLearn, section 4.1)

_CHOICES = {
    "matching": ("one_to_one", "released"),
    "question_words": ("symmetric", "released", "keep"),
    "empty_reference": ("unscored", "forgotten"),
}

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class GivenPart:
    """In place of any part: use the evidence that came with the responses."""

    name: str = GIVEN
    fingerprint: str = GIVEN


def _once(call: Callable[[Sequence[Key]], Sequence[Value]], inputs: Iterable[Key]) -> dict[Key, Value]:
    """Call a part once, over the distinct inputs."""
    distinct = list(dict.fromkeys(inputs))
    return dict(zip(distinct, call(distinct), strict=True)) if distinct else {}


def add_coverage(
    samples: Sequence[Sample],
    given: Sequence[Given],
    wanted: Sequence[int],
    parts: Parts,
    settings: Mapping[str, object],
) -> None:
    """Entities, similarity and coverage of the wanted samples; `unscored["coverage"]` is the reason if undefined."""
    # a coverage that came with the data was computed from the entities as they are
    as_given = parts.similarity is not None and parts.similarity.name == GIVEN
    question_words = "keep" if as_given else _choice(settings, "question_words")
    entities = _entities(samples, given, wanted, parts)
    pairs: dict[int, tuple[list[str], list[str]]] = {}
    by_rules = _by_rules(parts.entities) or (parts.similarity is not None and parts.similarity.name == "lexical")
    for i in wanted:
        sides = (unsupported(samples[i]) if by_rules else None) or entities[i]
        if isinstance(sides, Unscored):
            samples[i].unscored["coverage"] = sides.reason
            continue
        reference, response = without_question(*sides, samples[i].question, question_words=question_words)
        samples[i].entities_reference, samples[i].entities_response = reference, response
        pairs[i] = (reference, response)
    values = _coverages(pairs, given, parts, settings)
    for i, value in values.items():
        if isinstance(value, Unscored):
            samples[i].unscored["coverage"] = value.reason
        else:
            samples[i].coverage = value


def _by_rules(part: object) -> bool:
    """Whether a part is one of the English rules, or is made with them (agreement by "local:…")."""
    return str(getattr(part, "name", "")).partition(":")[0] in ("rules", "local")


def _entities(
    samples: Sequence[Sample], given: Sequence[Given], wanted: Sequence[int], parts: Parts
) -> dict[int, tuple[list[str], list[str]] | Unscored]:
    part = parts.entities
    if part is None:
        return dict.fromkeys(wanted, Unscored("no_entity_extractor"))
    if part.name == GIVEN:
        return {i: _given_entities(given[i]) for i in wanted}
    asked = [i for i in wanted if samples[i].reference]
    texts = [text for i in asked for text in (samples[i].reference, samples[i].response) if not is_empty(text)]
    found: dict[str, list[str] | Unscored] = _once(part, texts)

    def sides(i: int) -> tuple[list[str], list[str]] | Unscored:
        if not samples[i].reference:
            return Unscored("no_reference")
        both = [found.get(text, []) for text in (samples[i].reference, samples[i].response)]
        return next((side for side in both if isinstance(side, Unscored)), (both[0], both[1]))

    return {i: sides(i) for i in wanted}


def _given_entities(given: Given) -> tuple[list[str], list[str]] | Unscored:
    if given.entities_reference is None or given.entities_response is None:
        return Unscored("no_entities_given")
    return given.entities_reference, given.entities_response


def _coverages(
    pairs: Mapping[int, tuple[list[str], list[str]]],
    given: Sequence[Given],
    parts: Parts,
    settings: Mapping[str, object],
) -> dict[int, float | Unscored]:
    part = parts.similarity
    if part is None:
        return dict.fromkeys(pairs, Unscored("no_similarity"))
    if part.name == GIVEN:
        return {i: Unscored("no_coverage_given") if given[i].coverage is None else given[i].coverage for i in pairs}
    distinct = {i: (tuple(reference), tuple(response)) for i, (reference, response) in pairs.items()}
    matrices = _once(
        lambda sides: part([(list(r), list(g)) for r, g in sides]), [p for p in distinct.values() if all(p)]
    )
    matching, on_empty = _choice(settings, "matching"), _choice(settings, "empty_reference")

    def one(i: int) -> float | Unscored:
        reference, response = pairs[i]
        if not reference and on_empty == "forgotten":
            return 0.0
        matrix = matrices.get(distinct[i], np.zeros((len(reference), len(response))))
        if isinstance(matrix, Unscored) or not np.isfinite(matrix).all():
            return matrix if isinstance(matrix, Unscored) else Unscored("similarity_not_finite")
        return coverage(reference, response, matrix, threshold=part.threshold, matching=matching)

    return {i: one(i) for i in pairs}


def add_inference(samples: Sequence[Sample], given: Sequence[Given], wanted: Sequence[int], parts: Parts) -> None:
    """NLI label and probabilities of the wanted samples; `unscored["nli"]` has the reason where it is undefined."""
    part = parts.nli
    verdicts: dict[tuple[str, str], Inference | Unscored] = {}
    if part is not None and part.name != GIVEN:
        verdicts = _once(part, [_premise_hypothesis(samples[i]) for i in wanted if _can_infer(samples[i])])
    for i in wanted:
        sample = samples[i]
        if part is None:
            verdict: Inference | Unscored = Unscored("no_nli")
        elif part.name == GIVEN:
            verdict = _given_inference(given[i])
        elif _by_rules(part) and (foreign := unsupported(sample)):
            verdict = foreign
        elif not _can_infer(sample):
            verdict = Unscored("empty_response" if sample.reference else "no_reference")
        else:
            verdict = verdicts[_premise_hypothesis(sample)]
        if isinstance(verdict, Unscored):
            sample.unscored["nli_contradiction"] = verdict.reason
        elif not math.isfinite(verdict.probability):
            sample.unscored["nli_contradiction"] = "nli_not_finite"
        else:
            sample.nli_label, sample.nli_probability = verdict.label, min(1.0, max(0.0, verdict.probability))


def add_agreement(samples: Sequence[Sample], given: Sequence[Given], wanted: Sequence[int], parts: Parts) -> None:
    """Probability that the answer states the reference; `unscored["known_share"]` says why there is none.

    A profile without this part leaves no reason: its scores are made by their rules of coverage.
    """
    part = parts.agreement
    if part is None:
        return
    values: dict[int, float | Unscored] = {}
    asked: dict[int, tuple[str, str, str]] = {}
    for i in wanted:
        reason = (unsupported(samples[i]) if _by_rules(part) else None) or _without_reference(samples[i])
        if part.name == GIVEN:
            found = given[i].agreement
            values[i] = Unscored("no_agreement_given") if found is None else found
        elif reason is not None:
            values[i] = reason
        else:
            asked[i] = (samples[i].question, samples[i].reference or "", samples[i].response)
    judged: dict[tuple[str, str, str], float | Unscored] = _once(part, asked.values()) if asked else {}
    for i, value in {**values, **{i: judged[key] for i, key in asked.items()}}.items():
        if isinstance(value, Unscored):
            samples[i].unscored["known_share"] = value.reason
        elif not math.isfinite(value):
            samples[i].unscored["known_share"] = "agreement_not_finite"
        else:
            samples[i].agreement = min(1.0, max(0.0, value))


JUDGES: Mapping[Need, str] = {
    "judge_forget": "forget",
    "judge_retain": "retain",
    "judge_fluency": "fluency",
    "judge_relevance": "relevance",
}
"""Each judge's evidence, and its name."""
_NO_NEED_OF_REFERENCE = frozenset({"judge_fluency", "judge_relevance"})
NOTHING_SAID = Verdict(verdict="no", grade=1)  # an empty answer states nothing, and no judge is paid to say so


def add_verdicts(need: Need, samples: Sequence[Sample], wanted: Sequence[int], parts: Parts) -> None:
    """A judge's verdict on the wanted samples; `unscored[need]` says why there is none."""
    part = getattr(parts, need)
    asked: dict[int, tuple[str, str, str]] = {}
    verdicts: dict[int, Verdict | Unscored] = {}
    for i in wanted:
        sample = samples[i]
        reason = Unscored("no_judge") if part is None else _without_reference(sample)
        if reason is not None and (part is None or need not in _NO_NEED_OF_REFERENCE):
            verdicts[i] = reason
        elif sample.empty:
            verdicts[i] = NOTHING_SAID
        else:
            asked[i] = (sample.question, sample.reference or "", sample.response)
    found: dict[tuple[str, str, str], Verdict | Unscored] = _once(part, asked.values())
    for i, verdict in {**verdicts, **{i: found[key] for i, key in asked.items()}}.items():
        if isinstance(verdict, Unscored):
            samples[i].unscored[need] = verdict.reason
        else:
            samples[i].verdicts = {**(samples[i].verdicts or {}), JUDGES[need]: verdict}


def _without_reference(sample: Sample) -> Unscored | None:
    return None if sample.reference else Unscored("no_reference")


def _can_infer(sample: Sample) -> bool:
    return bool(sample.reference) and not sample.empty


def _premise_hypothesis(sample: Sample) -> tuple[str, str]:
    """Forget: does the answer contradict the reference? Retain: does the reference contradict the answer?"""
    pair = (sample.response, sample.reference or "")
    return pair if sample.role in FORGET_ROLES else pair[::-1]


def _given_inference(given: Given) -> Inference | Unscored:
    if given.nli_label is None:
        return Unscored("no_inference_given")
    return Inference(given.nli_label, 1.0 if given.nli_probability is None else given.nli_probability)


def add_perplexity(
    samples: Sequence[Sample],
    given: Sequence[Given],
    wanted: Sequence[int],
    parts: Parts,
    settings: Mapping[str, object],
) -> None:
    """Perplexity of the answers, where the judge can read the task's own reference answers.

    A judge that states a limit (`reads_up_to`) is first asked for the perplexity of the sample's reference: above the
    limit its perplexity of the answer says nothing, and is withheld. The answer has no part in this, so that a
    collapsed one still gets its number.
    """
    if not wanted:
        return  # an unused judge is not located
    part = parts.reference_lm
    readable, read = _readable(samples, wanted, part)
    # the released code drops an answer only where it has no token at all; white space has a perplexity there
    whole = settings["empty_perplexity"] == "drop"
    spoken = [i for i in readable if (samples[i].response if whole else not samples[i].empty)]
    values: dict[tuple[str, str], float | Unscored] = {}
    if part is not None and part.name != GIVEN:
        asked = [(samples[i].question, samples[i].response) for i in spoken]
        values = read | _once(part, [pair for pair in asked if pair not in read])
    for i in spoken:
        value: float | Unscored
        if part is None:
            value = Unscored("no_reference_lm")
        elif part.name == GIVEN:
            value = Unscored("no_perplexity_given") if given[i].perplexity is None else given[i].perplexity
        else:
            value = values[samples[i].question, samples[i].response]
        if isinstance(value, Unscored):
            samples[i].unscored["perplexity"] = value.reason
        elif not math.isfinite(value):
            samples[i].unscored["perplexity"] = "perplexity_not_finite"
        else:
            samples[i].perplexity = value
    _fill_empty(samples, sorted(set(readable) - set(spoken)), part is None, settings)


def add_wording(samples: Sequence[Sample], wanted: Sequence[int], parts: Parts) -> None:
    """Mean log-probability of the wanted answers under a real language model; nothing where the profile has none.

    An empty answer has none, and no reason either: it is not fluent whatever its wording.
    """
    part = parts.wording
    if part is None:
        return
    spoken = [i for i in wanted if not samples[i].empty]
    same = parts.reference_lm is not None and parts.reference_lm.fingerprint == part.fingerprint
    known = {i: p for i in spoken if same and (p := samples[i].perplexity) is not None}
    asked = {i: (samples[i].question, samples[i].response) for i in spoken if i not in known}
    values: dict[tuple[str, str], float | Unscored] = _once(part, asked.values())
    for i in spoken:
        value = known[i] if i in known else values[asked[i]]
        if isinstance(value, Unscored):
            samples[i].unscored["mean_logprob"] = value.reason
        elif not math.isfinite(value):
            samples[i].unscored["mean_logprob"] = "wording_not_finite"
        else:
            samples[i].mean_logprob = -math.log(value)


def _readable(
    samples: Sequence[Sample], wanted: Sequence[int], part: object
) -> tuple[list[int], dict[tuple[str, str], float | Unscored]]:
    """The samples whose reference the judge can read, and what it said of the references; others get the reason."""
    limit = getattr(part, "reads_up_to", None)
    if limit is None:
        return list(wanted), {}
    checked = [i for i in wanted if samples[i].reference]
    found = _once(part, [(samples[i].question, samples[i].reference or "") for i in checked])
    for i in wanted:
        value = found.get((samples[i].question, samples[i].reference or ""), NOT_CHECKED)
        if isinstance(value, Unscored):
            samples[i].unscored["perplexity"] = NOT_CHECKED.reason
        elif not value <= limit:
            samples[i].unscored["perplexity"] = CANNOT_READ
    return [i for i in wanted if "perplexity" not in samples[i].unscored], found


def _fill_empty(
    samples: Sequence[Sample], empty: Sequence[int], without_lm: bool, settings: Mapping[str, object]
) -> None:
    """Give empty answers the perplexity that they count as among the answers of their task."""
    others: dict[str, list[float]] = {}
    for sample in samples:
        if sample.perplexity is not None:
            others.setdefault(sample.task, []).append(sample.perplexity)
    policy = settings["empty_perplexity"]
    for i in empty:
        value = None if without_lm else empty_perplexity(others.get(samples[i].task, ()), policy=policy)
        samples[i].perplexity = value
        if value is None:
            samples[i].unscored["perplexity"] = "no_reference_lm" if without_lm else "empty_response"


def refill_empty(samples: Sequence[Sample], settings: Mapping[str, object]) -> list[Sample]:
    """Fill empty answers again, over samples that were scored separately; returns those that were filled."""
    empty = [
        i
        for i, sample in enumerate(samples)
        if sample.empty and (sample.perplexity is not None or sample.unscored.get("perplexity") == "empty_response")
    ]
    for i in empty:
        samples[i].perplexity = None
        samples[i].unscored.pop("perplexity", None)
    _fill_empty(samples, empty, False, settings)
    return [samples[i] for i in empty]


def _choice(settings: Mapping[str, object], name: str) -> str:
    value = settings[name]
    if value not in _CHOICES[name]:
        raise UserError(f"option {name}: expected {' or '.join(_CHOICES[name])}, got {value!r}")
    return str(value)
