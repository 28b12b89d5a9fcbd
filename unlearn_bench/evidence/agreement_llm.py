"""Agreement by a language model's verdict: yes 1, partly 1/2, no 0, of the judge `forget` (`unlearn_bench.judges`).

The judge is asked whether the answer gives the reference's facts away, whatever the row's role, so that KFR and KRR are
two sides of one verdict: "partly" is neither forgotten (p < 0.5) nor lost (p >= 0.5). Its error on the planted cases is
the known error of KFR and KRR then (`harness.judged`).
"""

from collections.abc import Mapping, Sequence

from unlearn_bench.judges.judge import Judge
from unlearn_bench.judges.reading import Word
from unlearn_bench.scorers.base import Unscored, part_fingerprint
from unlearn_bench.text.degenerate import is_empty

PROBABILITY: Mapping[Word, float] = {"yes": 1.0, "partly": 0.5, "no": 0.0}


class LLMAgreement:
    """Agreement by a judge.

    Args:
        judge: The judge `forget`.
    """

    version = 1

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.name = judge.name

    @property
    def fingerprint(self) -> str:
        """Hash of the version and the judge, what it showed on the planted cases included."""
        return part_fingerprint("agreement/llm", self.version, judge=self.judge.fingerprint)

    def __call__(self, items: Sequence[tuple[str, str, str]]) -> list[float | Unscored]:
        """A probability for each (question, reference, response); 0 for an empty response, which is not asked."""
        spoken = [item for item in items if not is_empty(item[2])]
        verdicts = iter(self.judge(spoken) if spoken else [])
        found = [None if is_empty(item[2]) else next(verdicts) for item in items]
        return [
            0.0 if verdict is None else verdict if isinstance(verdict, Unscored) else PROBABILITY[verdict.verdict]
            for verdict in found
        ]
