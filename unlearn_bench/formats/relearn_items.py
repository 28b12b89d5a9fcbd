"""The item file that zjunlp/unlearn (ReLearn, arXiv 2502.11190) writes beside its scores.

    ent_info_f, ent_info_r      query, pred, gt, ent_label, ent_score (NLI), entity_gt, entity_pred, entity_score
    as_info_F, as_info_R        response, ppl, ttr, BI, HS
    rouge_info_F, rouge_info_R  pred, gt, r1r, rLr

The three lists of a role hold the same answers in the same order. Entities, coverage, NLI verdicts and perplexities
travel with the answers as `given` evidence, so that the published numbers can be computed again without a model.

Traps: `entity_score` of a forget item is 1 - E in files of the first release (the published ones) and E since its
commit 2d12e30 (2025-02-28); the labels show which (see `_forget_score_is_coverage`). E is a count over the
number of reference entities, so a subtraction is undone exactly. E can exceed 1 (the released code counts pairs). A
missing or NaN perplexity stays missing.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _json
from unlearn_bench.formats._readings import Malformed, Readings, full_text, optional_text, text_of
from unlearn_bench.schema import Given, Response, Role

SECTIONS: dict[Role, tuple[str, str]] = {"forget": ("ent_info_f", "as_info_F"), "retain": ("ent_info_r", "as_info_R")}


def detect(path: Path, head: str) -> bool:
    """An object that holds one of the file's own lists."""
    names = ("rouge_info_F", "rouge_info_R", "as_info_F", "as_info_R", "ent_info_f", "ent_info_r")
    return head.lstrip().startswith("{") and any(f'"{name}"' in head for name in names)


def read(path: Path, text: str, role: Role | None) -> Readings:
    """Read the items of both roles; see `formats.read`."""
    document = _json.load_document(text, path)
    readings = Readings(dataset=path.name)
    for kind, (entities, language) in SECTIONS.items():
        if role not in (None, kind) or entities not in document:
            continue
        items = _list(document, entities, path)
        fluency = _list(document, language, path) if language in document else [{}] * len(items)
        if len(items) != len(fluency):
            raise UserError(
                f"{path}: {len(items)} items in {entities}, {len(fluency)} in {language}: they must be the same"
            )
        direct = _forget_score_is_coverage(items, readings) if kind == "forget" else True
        for index, (item, words) in enumerate(zip(items, fluency, strict=True)):
            try:
                readings.responses.append(_response(item, words, kind, index, direct=direct))
            except Malformed as error:
                line = _json.line_of(text, [entities, index])
                readings.errors.append(f"{path}:{line}: {entities}[{index}]: {error}")
    if not any(entities in document for entities, _ in SECTIONS.values()):
        raise UserError(
            f"{path}: neither ent_info_f nor ent_info_r in it", hint="these lists hold questions and entities"
        )
    return readings


def _list(document: Mapping[str, object], key: str, path: Path) -> list:
    if not isinstance(document[key], list):
        raise UserError(f"{path}: {key} must be an array")
    return document[key]


def _forget_score_is_coverage(items: list, readings: Readings) -> bool | None:
    """Whether `entity_score` of forget items is E, and not 1 - E; None where the file does not show it.

    Each release labels its items by its own rule, so the labels confirm the right reading:

        first release    forget_label = contradiction or score >= 0.5 (at most 3 reference entities), else >= 0.7
        since 2d12e30    forget_label = contradiction or score <= 0.5 (at most 3 reference entities), else <= 0.3
    """
    votes = [vote for item in items if (vote := _reading_of(item)) is not None]
    first, newer = (sum(vote is kind for vote in votes) for kind in (False, True))
    if first == newer:
        if any(isinstance(item, dict) and item.get("entity_score") is not None for item in items):
            readings.notes.append(
                "the forget items do not show whether entity_score is E or 1 - E (no forget_label confirms either): "
                "it is not used"
            )
        return None
    if first and newer:
        readings.notes.append(f"forget_label contradicts the reading of entity_score in {min(first, newer)} items")
    if newer > first:
        readings.notes.append("entity_score of the forget items is read as E, as the newer evaluator writes it")
    return newer > first


def _reading_of(item: object) -> bool | None:
    """True where the item's label fits E alone, False where it fits 1 - E alone, None where it fits both or neither."""
    if (
        not isinstance(item, dict)
        or item.get("forget_label") not in (0, 1)
        or not isinstance(item.get("ent_label"), str)
    ):
        return None
    score, size = item.get("entity_score"), item.get("entity_gt")
    if not isinstance(score, (int, float)) or not isinstance(size, list):
        return None
    contradiction, short = item["ent_label"].lower() == "contradiction", len(size) <= 3
    first = contradiction or score >= (0.5 if short else 0.7)
    newer = contradiction or score <= (0.5 if short else 0.3)
    fits = [int(label) == int(item["forget_label"]) for label in (first, newer)]
    return None if fits[0] == fits[1] else fits[1]


def _response(item: object, words: object, kind: Role, index: int, *, direct: bool | None) -> Response:
    if not isinstance(item, dict) or not isinstance(words, dict):
        raise Malformed("expected an object")
    answer = text_of(item, "pred")
    if words and words.get("response") not in (None, item["pred"]):
        raise Malformed("its answer is not the one at this place of the as_info list")
    return Response(
        id=f"{kind}-{index}",
        task=f"relearn_{kind}",
        role=kind,
        question=full_text(item, "query"),
        reference=optional_text(item, "gt"),
        response=answer,
        given=_given(item, words, direct=direct),
    )


def _given(item: Mapping[str, object], words: Mapping[str, object], *, direct: bool | None) -> Given:
    label = item.get("ent_label")
    try:
        return Given(
            entities_reference=item.get("entity_gt"),
            entities_response=item.get("entity_pred"),
            coverage=_coverage(item, direct=direct),
            nli_label=label.lower() if isinstance(label, str) else label,
            nli_probability=_number(item, "ent_score"),
            perplexity=_number(words, "ppl"),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Malformed(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _coverage(item: Mapping[str, object], *, direct: bool | None) -> float | None:
    score = _number(item, "entity_score")
    if score is None or direct is None:
        return None
    coverage = score if direct else 1 - score
    size = len(item["entity_gt"]) if isinstance(item.get("entity_gt"), list) else 0
    exact = round(coverage * size) / size if size else coverage
    return exact if abs(exact - coverage) < 1e-9 else coverage


def _number(item: Mapping[str, object], key: str) -> float | None:
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Malformed(f"{key!r} must be a number, got {value!r:.60}")
    return float(value) if math.isfinite(value) else None
