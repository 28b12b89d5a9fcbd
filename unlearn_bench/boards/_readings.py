"""Is what was scored the answer in what the model wrote?

A sample keeps all that was generated (`raw_response`, where that is more than `response`). Whoever may choose which
part of it is "the answer" chooses the score, so the answer is read again by the rules of `unlearn_bench.text.answer`.
"""

from collections.abc import Iterator, Sequence

from unlearn_bench.schema import Response, Result, Sample, TaskResult
from unlearn_bench.text import answer

_READ = ("response", "raw_response", "thinking", "cut", "missing")
_KEPT = set(Response.model_fields) - {"given", "response", "raw_response", "thinking", "cut"}


def reads_answers(result: Result, task: TaskResult) -> bool:
    """Whether the answer was looked for in each text (not so with --no-first-answer, --rules released and --given)."""
    return bool(result.run.get("first_answer", True) and task.generation.get("first_answer", True))


def generated(sample: Sample) -> Response:
    """All that the model wrote, as the response; what it said of given texts stays."""
    whole = sample.response if sample.raw_response is None else sample.raw_response
    return Response(**sample.model_dump(include=_KEPT), response=whole)


def problems(result: Result, task: TaskResult, samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    """Samples whose response is not the answer in what was generated."""
    read = reads_answers(result, task)
    for sample in samples:
        if read:
            told = _unlike(sample)
        elif sample.raw_response is not None or sample.cut or sample.thinking is not None:
            told = "something was cut off, though the run states that answers are taken whole"
        else:
            told = None
        if told:
            yield "response", f"sample {sample.id[:60]}: {told}"


def _unlike(sample: Sample) -> str | None:
    """How a sample differs from the answer that is read again; None where it does not.

    The prompt may have opened a thinking block, which the sample does not say: either reading is right.
    """
    whole = generated(sample)
    again = answer.apply(whole)
    if _same(again, sample) or _same(answer.apply(whole, opened=True), sample):
        return None
    part = next(name for name in _READ if getattr(again, name) != getattr(sample, name))
    return f"its {part} is not what the rules read in the text that was generated"


def _same(one: Response, other: Sample) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in _READ)
