"""A few prompts in detail, for the document and for the plots."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from unlearn_bench.diagnostics._records import Record
from unlearn_bench.diagnostics.schema import Candidate, Example, Position
from unlearn_bench.diagnostics.token_distribution import Distribution


def example(record: Record, tokenizer: PreTrainedTokenizerBase) -> Example:
    """One row's distributions with the tokens spelled out."""
    prompt = record.prompt
    entity = record.at("entity")[0]
    places = [i - prompt.start + 1 for i in prompt.asked]
    return Example(
        id=prompt.id,
        prompt=tokenizer.decode(prompt.ids[: prompt.start]),
        forced=_positions(record.forced, places, tokenizer, entity),
        free=[]
        if record.free is None
        else _positions(record.free, range(1, len(record.free.gold) + 1), tokenizer, None),
    )


def _positions(
    found: Distribution, places: Sequence[int], tokenizer: PreTrainedTokenizerBase, entity: int | None
) -> list[Position]:
    return [
        Position(
            token=places[i],
            gold=tokenizer.decode([int(found.gold[i])]),
            entity=i == entity,
            gold_rank=found.gold_rank[i],
            gold_probability=min(found.gold_probability[i], 1.0),
            entropy=max(found.entropy[i], 0.0),
            candidates=_candidates(found.top_ids[i], found.top_probabilities[i], tokenizer),
            original=None
            if found.original_top_ids is None
            else _candidates(found.original_top_ids[i], found.original_top_probabilities[i], tokenizer),
        )
        for i in range(len(found.gold))
        if found.finite[i]
    ]


def _candidates(ids: list[int], probabilities: list[float], tokenizer: PreTrainedTokenizerBase) -> list[Candidate]:
    return [
        Candidate(token=tokenizer.decode([int(i)]), probability=min(float(p), 1.0))
        for i, p in zip(ids, probabilities, strict=True)
    ]
