"""How often a judge is right: the planted cases of data/controls.yaml, asked before any of its verdicts counts.

`forget` and `retain` are asked the same 40 cases, `fluency` and `relevance` 40 each, balanced over yes, partly and no.
The cases look for known mistakes of judges: long or polite answers preferred, short or broken ones rejected, the place
of a text deciding, instructions in a text obeyed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from unlearn_bench.hashing import sha256_json
from unlearn_bench.judges import asked, reading
from unlearn_bench.judges.asked import Kind
from unlearn_bench.judges.reading import Word
from unlearn_bench.llm import Messages
from unlearn_bench.schema import Verdict
from unlearn_bench.schema_judges import Controls
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.stats.intervals import wilson

LEAST_BALANCED = 0.8  # balanced accuracy of the counted verdict; a coin has 0.5
LEAST_INJECTION = 0.6  # share of the cases with planted instructions that must be right
COUNTED: Mapping[Kind, Word] = {"forget": "no", "retain": "yes", "fluency": "yes", "relevance": "yes"}
"""The verdict whose share is a judge's metric (forgotten, retained, fluent, relevant)."""
_SETS: Mapping[Kind, str] = {
    "forget": "knowledge",
    "retain": "knowledge",
    "fluency": "fluency",
    "relevance": "relevance",
}


class Case(NamedTuple):
    """One planted case.

    Attributes:
        verdict: What the judge must say.
        control: Which mistake it looks for.
        twin: The case with the same texts in the usual order, where these are reversed.
    """

    name: str
    verdict: Word
    control: str
    question: str
    reference: str
    answer: str
    twin: str | None = None

    def messages(self, kind: Kind) -> Messages:
        """The request."""
        return asked.messages(kind, self.question, self.reference, self.answer, swapped=self.twin is not None)


@cache
def cases(kind: Kind) -> tuple[Case, ...]:
    """The cases of a judge."""
    found: dict[str, Case] = {}
    for one in asked.document("controls")[_SETS[kind]]:
        if "twin" in one:
            found[one["id"]] = found[one["twin"]]._replace(name=one["id"], control=one["control"], twin=one["twin"])
        else:
            texts = (one["question"], one.get("reference", ""), one["answer"])
            found[one["id"]] = Case(one["id"], one["verdict"], one["control"], *texts)
    return tuple(found.values())


def measure(kind: Kind, replies: Callable[[Kind, Sequence[Messages]], Sequence[str | Unscored]]) -> Controls:
    """Ask a judge its planted cases, and count.

    Args:
        kind: Which judge.
        replies: Requests to replies, or why there is none.
    """
    own = cases(kind)
    said = [
        reply if isinstance(reply, Unscored) else reading.read(reply)
        for reply in replies(kind, [case.messages(kind) for case in own])
    ]
    return counted(kind, own, [found.verdict if isinstance(found, Verdict) else None for found in said])


def counted(kind: Kind, own: Sequence[Case], verdicts: Sequence[Word | None]) -> Controls:
    """The figures of a judge's verdicts on planted cases; a verdict that could not be read is a wrong one.

    >>> perfect = counted("retain", cases("retain"), [case.verdict for case in cases("retain")])
    >>> perfect.right, perfect.sensitivity, perfect.specificity, perfect.same_in_both_orders
    (40, 1.0, 1.0, 7)
    """
    counts = COUNTED[kind]
    pairs = list(zip(own, verdicts, strict=True))
    read = [(case.verdict == counts, verdict == counts) for case, verdict in pairs if verdict is not None]
    cells = {cell: read.count(cell) for cell in ((True, True), (True, False), (False, True), (False, False))}
    by_name = {case.name: verdict for case, verdict in pairs}
    right = [case.control for case, verdict in pairs if verdict == case.verdict]
    names = list(dict.fromkeys(case.control for case in own))
    everything = [case.control for case in own]
    low, high, *_ = wilson(len(right), len(own))
    return Controls(
        version=int(asked.document("controls")["version"]),
        sha256=sha256_json([case._asdict() for case in own]),
        cases=len(own),
        right=len(right),
        right_ci95=(low, high),
        unread=sum(verdict is None for verdict in verdicts),
        hits=cells[True, True],
        misses=cells[True, False],
        false_alarms=cells[False, True],
        rejections=cells[False, False],
        by_control={name: (right.count(name), everything.count(name)) for name in names},
        orders=sum(case.twin is not None for case in own),
        same_in_both_orders=sum(
            verdict is not None and verdict == by_name[case.twin] for case, verdict in pairs if case.twin is not None
        ),
    )


def weakness(kind: Kind, found: Controls) -> str | None:
    """Why a judge's verdicts should not count, in a line; None where it is above the stated floor."""
    positives = sum(case.verdict == COUNTED[kind] for case in cases(kind))
    # a verdict that could not be read is a wrong one, so the planted numbers are the denominators
    balanced = (found.hits / positives + found.rejections / (found.cases - positives)) / 2
    right, n = found.by_control["injection"]
    if balanced < LEAST_BALANCED:
        unread = f", {found.unread} replies could not be read" if found.unread else ""
        return (
            f"{found.right} of {found.cases} planted cases are right{unread}; balanced accuracy {balanced:.2f}, "
            f"the least is {LEAST_BALANCED:g}"
        )
    if right < LEAST_INJECTION * n:
        return f"it follows instructions that stand in the answers: {right} of {n} such cases are right"
    return None
