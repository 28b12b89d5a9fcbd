"""Our task files under stock `lm_eval run --include_path`: the class behind every YAML in `tasks/`.

`unlearn-bench run` reads the same files (`definitions.read_task`) and needs none of this; both give the same values. A
task scores in `apply_filters`, where all of its answers are known, so that each secondary model runs once over all of
them; `process_results` only hands out the numbers.

Keys of a YAML's `metadata` (and of `--metadata`, which overrides them): `dataset`, `split`, `question` (the row's field
that is asked), `scorers`, and the fields of `DataSettings`, `PromptSettings` and `Scoring`.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from unlearn_bench.errors import UserError
from unlearn_bench.evidence import pipeline, profiles
from unlearn_bench.harness import peers
from unlearn_bench.harness.definitions import RUN, asked_rows, prompt_text, read_answer, read_task, reads_answers
from unlearn_bench.harness.spec import PromptSettings, Scoring
from unlearn_bench.schema import NOT_ASKED, Response, Row, Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.text import answer

_OURS = frozenset({"class", "samples_of", "metrics", "probes"})  # keys that lm-eval does not know

log = logging.getLogger(__name__)


class Scored(str):
    """An answer as lm-eval logs it, with the scored sample attached; survives the gathering of processes."""

    sample: Sample

    def __new__(cls, sample: Sample) -> "Scored":
        answer = super().__new__(cls, sample.response)
        answer.sample = sample
        return answer

    def __reduce__(self) -> tuple[type, tuple[Sample]]:
        return Scored, (self.sample,)


class Value(float):
    """One sample's number, with the sample attached for aggregates other than means; NaN where it is unscored."""

    sample: Sample

    def __new__(cls, sample: Sample, metric: str) -> "Value":
        value = super().__new__(cls, sample.scores.get(metric, math.nan))
        value.sample = sample
        value.metric = metric
        return value

    def __reduce__(self) -> tuple[type, tuple[Sample, str]]:
        return Value, (self.sample, self.metric)


def load_docs(**metadata: Any) -> dict[str, Any]:
    """lm-eval's `custom_dataset`: the rows as documents, `question` being what is asked."""
    from datasets import Dataset

    rows = asked_rows(read_task({"metadata": metadata}))
    keys = ["id", "role", "cluster", "question", "answer"]
    later = ("kind", "aliases", "choices", "gold", "prefill", "asked", "earlier")
    keys += [key for key in later if any(getattr(r, key) for r in rows)]
    return {"test": Dataset.from_list([{key: getattr(row, key) for key in keys} for row in rows])}


class UnlearnTask(ConfigurableTask):
    """A question set, an alias of one, or (`samples_of: run`) a task over the answers of all others.

    Attributes:
        definition: What the task file says.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        config = dict(config or {})
        self.definition = read_task(config)
        config = {key: value for key, value in config.items() if key not in _OURS}
        self.metrics = [metric for name in self.definition.scorers for metric in SCORERS.get(name).metrics]
        config["metric_list"] = [
            {
                "metric": metric.name,
                "aggregation": partial(_aggregate, metric.name, self.definition.scorers, self.definition.scoring),
                "higher_is_better": metric.direction(),
            }
            for metric in self.metrics
        ]
        config["num_fewshot"] = 0  # questions are asked without examples: lm-eval then refuses to count --num_fewshot
        config["process_results"] = lambda doc, results: {}  # else lm-eval looks our metric names up on the hub
        super().__init__(config=config)
        self.config.process_results = None
        self._prompts = PromptSettings.of(config["metadata"])
        self._reads_answers = reads_answers(self.definition)
        self._peers = peers.join(self)

    def _others(self) -> list["UnlearnTask"]:
        """The tasks whose answers are scored; none where it asks itself."""
        if self.definition.samples_of != RUN:
            return []
        asking = [task for task in self._peers if task.definition.samples_of != RUN and task._reads_answers]
        return sorted(asking, key=lambda task: task.definition.name)

    def _judged(self) -> str:
        """The dataset that chooses the perplexity model: a task over several datasets has one for all of them."""
        over_all = any(task.definition.samples_of == RUN for task in self._peers)
        asking = [task.definition for task in (self._peers if over_all else [self])]
        datasets = {task.dataset for task in asking if task.samples_of != RUN}
        return min(datasets - {profiles.NANO}, default=profiles.NANO)

    def fewshot_context(
        self, doc: dict[str, Any], num_fewshot: int, *args: Any, chat_template: Any = None, **kwargs: Any
    ) -> str:
        """The prompt: the question in the model's chat template, or in the chosen plain style."""
        system = kwargs.get("system_instruction")
        return prompt_text(self.definition, _row(doc), self._prompts, chat_template, system=system)

    def build_all_requests(self, **kwargs: Any) -> None:
        """One request for each row; none where the answers of others are scored, or no scorer reads answers."""
        peers.close()
        if self.definition.reference_tokens is not None and "tokenizer_name" in kwargs:  # asked, not only validated
            raise UserError(
                f"{self.definition.name}: its references are cut to tokens of the model, which lm_eval cannot do",
                hint="use `unlearn-bench run`",
            )
        if self._others():
            self._instances = []
            return
        super().build_all_requests(**kwargs)
        if not self._reads_answers:
            log.warning(
                "%s is not asked: lm-eval has no room for token log-probabilities; unlearn-bench run has",
                self.definition.name,
            )
            self._unasked, self._instances = self._instances, []

    def apply_filters(self) -> None:
        """Score all answers of the task at once."""
        if others := self._others():
            self._instances = _taken(others)
        elif not self._reads_answers:
            self._instances = self._unasked
            for instance in self._instances:
                instance.resps = [answer.not_given(NOT_ASKED)]
        super().apply_filters()
        if "bypass" in self._metric_fn_list:  # --predict_only
            return
        for ensemble in self._filters:
            answers = [self._response(i, i.filtered_resps[ensemble.name]) for i in self._instances]
            parts, options = self.definition.scoring.made_for(self._judged()), self.definition.scoring.options
            samples = pipeline.score_responses(answers, self.definition.scorers, parts, options)
            for instance, sample in zip(self._instances, samples, strict=True):
                instance.filtered_resps[ensemble.name] = Scored(sample)

    def _response(self, instance: Instance, generation: str) -> Response:
        name = self.definition.question_set if instance.task_name == self.definition.name else str(instance.task_name)
        return read_answer(
            _row(instance.doc), name, instance.args[0], generation, markers=(), first_answer=self._prompts.first_answer
        )

    def doc_iterator(self, **kwargs: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        """The documents that were asked, or those whose answers were taken."""
        if self._others():
            return iter([(instance.doc_id, instance.doc) for instance in self._instances])
        return super().doc_iterator(**kwargs)

    def process_results(self, doc: dict[str, Any], results: Sequence[Scored]) -> dict[str, float | None]:
        """Hand out the numbers of one answer."""
        if "bypass" in self._metric_fn_list:
            return {"bypass": None}
        return {metric.name: Value(results[0].sample, metric.name) for metric in self.metrics}


def _row(doc: Mapping[str, Any]) -> Row:
    """A document of lm-eval as the row that it was."""
    return Row(**{key: value for key, value in doc.items() if key in Row.model_fields})


def _taken(others: Sequence[UnlearnTask]) -> list[Instance]:
    """Copies of the requests of other tasks with their answers, each question once."""
    first: dict[str, Instance] = {}
    for task in others:
        for request in task.instances:
            taken = (task.definition.question_set, len(first), request.repeats)
            copy = Instance(request.request_type, request.doc, request.arguments, 0, taken, resps=list(request.resps))
            first.setdefault(request.doc["question"], copy)
    return list(first.values())


def _aggregate(metric: str, scorers: Sequence[str], scoring: Scoring, values: Sequence[Value]) -> float:
    samples = [value.sample for value in values]
    result = pipeline.aggregate(samples, scorers, scoring.options, only={metric}, resamples=0)[metric]
    return math.nan if result.value is None else result.value
