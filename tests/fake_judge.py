"""A judge that is wrong as often as told, behind a real server on loopback."""

import json
import random
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.servers import Exchange, Server, completion
from unlearn_bench.judges import asked, controls
from unlearn_bench.judges.asked import KINDS, Kind
from unlearn_bench.judges.verdicts import Identity, Line, key_of

GRADES = {"yes": 5, "partly": 3, "no": 1}


class FakeJudge:
    """Knows the planted cases and what it is told, and errs at known rates, alike each time it is asked.

    Args:
        truth: (question, answer) to the verdict; what is not there is "no".
        errors: True verdict to the rate of errors; a wrong "yes" or "partly" is "no", a wrong "no" is "yes".
        seed: Of the errors.
    """

    def __init__(
        self, truth: Mapping[tuple[str, str], str] = {}, errors: Mapping[str, float] = {}, *, seed: int = 0
    ) -> None:
        self.truth, self.errors, self.seed = truth, errors, seed
        self._planted = {
            (kind, case.question, case.answer): case.verdict for kind in KINDS for case in controls.cases(kind)
        }

    def verdict(self, kind: Kind, question: str, answer: str) -> str:
        """The verdict on an answer, right or wrong."""
        right = self._planted.get((kind, question, answer)) or self.truth.get((question, answer), "no")
        wrong = random.Random(f"{self.seed} {question} {answer}").random() < self.errors.get(right, 0.0)
        return ("yes" if right == "no" else "no") if wrong else right

    def __call__(self, exchange: Exchange) -> dict[str, Any]:
        texts = texts_of(exchange.body)
        verdict = self.verdict(kind_of(exchange.body), texts["question"], texts["answer"])
        return completion(json.dumps({"verdict": verdict, "grade": GRADES[verdict]}))


def texts_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The texts that a request shows."""
    return json.loads(body["messages"][-1]["content"])


def kind_of(body: Mapping[str, Any]) -> Kind:
    """Which judge a request asks."""
    return next(kind for kind in KINDS if asked.instruction(kind) == body["messages"][0]["content"])


@cache
def planted(model: str = "fake", kinds: tuple[Kind, ...] = KINDS) -> str:
    """The text of a file of kept replies: every planted case, answered rightly."""
    who = Identity(model=model, endpoint="local", temperature=0.0, json_mode="json_object", prompts=asked.version())
    lines = []
    for kind in kinds:
        for case in controls.cases(kind):
            said = json.dumps({"verdict": case.verdict, "grade": GRADES[case.verdict]})
            key = key_of(who, case.messages(kind))
            lines.append(Line(key=key, judge=who, asked=kind, said=said, tokens=(7, 3)).model_dump_json() + "\n")
    return "".join(lines)


def serving(judge: FakeJudge) -> Server:
    """The judge behind a server that is still to be entered."""
    return Server(judge)
