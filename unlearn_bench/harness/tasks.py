"""The bridge to lm-eval: the task class behind every YAML in `tasks/`.

A task scores in `apply_filters`, where all of its answers are known, so that each secondary model runs once over all
of them; `process_results` only hands out the numbers. Tasks that ask the same prompts with the same settings share
one generation, which lm-eval itself does not do. It works under the stock `lm_eval run --include_path`, with the same
values.

Keys of a YAML's `metadata` (and of `--metadata`, which overrides them): `dataset`, `split`, `question` (the row's field
that is asked), `scorers`, `prompt`, `first_answer`, `data_dir`, `data_revision`, `forget_split`, the arguments of
`profiles.build_parts` and the scorers' options.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from weakref import WeakSet

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from unlearn_bench import data, tokens
from unlearn_bench.errors import UserError
from unlearn_bench.evidence import profiles
from unlearn_bench.evidence.pipeline import aggregate, default_options, score_responses, settle
from unlearn_bench.harness.observations import without_surrogates
from unlearn_bench.hashing import sha256_json
from unlearn_bench.schema import DatasetInfo, MetricValue, Response, Row, Sample
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Metric, Parts
from unlearn_bench.text import answer


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
    """One sample's number, with the sample attached for the aggregates that are no means; NaN where it is unscored."""

    sample: Sample

    def __new__(cls, sample: Sample, metric: str) -> "Value":
        value = super().__new__(cls, sample.scores.get(metric, math.nan))
        value.sample = sample
        value.metric = metric
        return value

    def __reduce__(self) -> tuple[type, tuple[Sample, str]]:
        return Value, (self.sample, self.metric)


@lru_cache(maxsize=32)
def _load(dataset: str, split: str, data_dir: str | None, revision: str | None) -> data.Dataset:
    return data.load(dataset, split, data_dir=data_dir, revision=revision)


def asked_dataset(metadata: Mapping[str, object]) -> data.Dataset:
    """The dataset that a task's metadata names; `forget_split` chooses among the forget sets that it declares."""
    name = str(metadata["dataset"])
    split = data.asked_split(name, str(metadata["split"]), metadata.get("forget_split"))
    return _load(name, split, metadata.get("data_dir"), metadata.get("data_revision"))


def load_docs(**metadata: object) -> dict[str, object]:
    """lm-eval's `custom_dataset`: the rows as documents, `question` being what is asked.

    Raises:
        UserError: if rows lack the field that is to be asked.
    """
    from datasets import Dataset

    field = str(metadata.get("question", "question"))
    rows = asked_dataset(metadata).rows
    missing = sum(getattr(row, field) is None for row in rows)
    if missing:
        raise UserError(f"{metadata['dataset']} {metadata['split']}: {missing} of {len(rows)} rows have no {field}")
    docs = [
        {"id": r.id, "role": r.role, "cluster": r.cluster, "question": getattr(r, field), "answer": r.answer}
        for r in rows
    ]
    return {"test": Dataset.from_list(docs)}


def asked_rows(tasks: Iterable["UnlearnTask"], limit: float | None = None) -> list[Row]:
    """The rows of tasks as they are asked, each question once; of each task the first `limit`, below 1 this share."""
    rows: dict[tuple[str, str], Row] = {}
    for task in tasks:
        known = asked_dataset(task.metadata).rows
        count = limit if limit is None else math.ceil(len(known) * limit) if limit < 1 else int(limit)
        for row in known[:count]:
            question = getattr(row, str(task.metadata.get("question", "question"))) or row.question
            rows[row.id, question] = row.model_copy(update={"question": question})
    return list(rows.values())


class _Evaluation:
    """The tasks of one evaluation, and who owns each generation that they share."""

    def __init__(self) -> None:
        self.tasks: WeakSet[UnlearnTask] = WeakSet()
        self.built: set[str] = set()
        self.owners: dict[str, Instance] = {}


class UnlearnTask(ConfigurableTask):
    """A generation task whose answers are scored together.

    lm-eval builds all tasks of an evaluation before it builds the first request; a task that is constructed after that
    belongs to the next evaluation.
    """

    _evaluation = _Evaluation()
    thinking_markers: answer.Markers = ()  # those of the judged model's template, where `run` knows them

    def __init__(self, config: dict | None = None) -> None:
        config = {key: value for key, value in (config or {}).items() if key != "class"}
        metadata = config["metadata"]
        names = metadata["scorers"] if isinstance(metadata["scorers"], list) else str(metadata["scorers"]).split("+")
        self.scorers: list[str] = names
        self.metrics: list[Metric] = [m for name in names for m in SCORERS.get(name).metrics]
        config["metric_list"] = [
            {
                "metric": metric.name,
                "aggregation": partial(_aggregate, metric=metric.name, scorers=names, options=_options(metadata)),
                "higher_is_better": metric.direction(),
            }
            for metric in self.metrics
        ]
        config["num_fewshot"] = 0  # questions are asked without examples: lm-eval then refuses to count --num_fewshot
        config["process_results"] = lambda doc, results: {}  # else lm-eval looks our metric names up on the hub
        super().__init__(config=config)
        self.config.process_results = None
        if UnlearnTask._evaluation.built:
            UnlearnTask._evaluation = _Evaluation()
        self._evaluation = UnlearnTask._evaluation
        self._evaluation.tasks.add(self)

    @property
    def metadata(self) -> dict[str, object]:
        """The YAML's metadata with the command line's on top."""
        return self.config.metadata

    def parts(self) -> Parts:
        """The ingredients of the chosen scoring profile; equal settings share one set of models."""
        own = {key: v for key, v in self.metadata.items() if key in profiles.SETTINGS}
        return profiles.parts_from(own, self._judged_dataset())

    def _judged_dataset(self) -> str:
        """Whose text the answers are; the perplexity model of the offline profile follows it."""
        return str(self.metadata["dataset"])

    def options(self) -> dict[str, object]:
        """The scorers' options (kfr_rule, …) that the metadata holds."""
        return _options(self.metadata)

    def settle(self, samples: Sequence[Sample]) -> None:
        """Make the samples of several processes equal to those of one."""
        settle(samples, self.scorers, self.options())

    def aggregate(self, samples: Sequence[Sample]) -> dict[str, MetricValue]:
        """The task's numbers, with intervals."""
        return aggregate(samples, self.scorers, self.options())

    def dataset_info(self) -> DatasetInfo:
        """Identity of the rows that were asked."""
        return asked_dataset(self.metadata).info()

    def fewshot_context(
        self, doc: dict, num_fewshot: int, *args: object, chat_template: object = None, **kwargs: object
    ) -> str:
        """The prompt: the question in the model's chat template, or in the chosen plain style."""
        return tokens.build(
            doc["question"],
            style=str(self.metadata.get("prompt", "auto")),
            chat_template=chat_template,
            system=kwargs.get("system_instruction"),
        )

    def build_all_requests(self, **kwargs: object) -> None:
        """Build requests, and leave out those that another task of this evaluation already makes."""
        run = self._join(self.config.task)
        super().build_all_requests(**kwargs)
        self._asked = kwargs
        self._all = self._instances
        self._owner = {id(i): run.owners.setdefault(_generation_key(i), i) for i in self._all}
        self._instances = [i for i in self._all if self._owner[id(i)] is i]

    def _join(self, name: str) -> "_Evaluation":
        run = self._evaluation
        if name in run.built:  # the same tasks are evaluated a second time, or a run before has crashed
            run.built.clear()
            run.owners.clear()
        run.built.add(name)
        return run

    def asked_docs(self) -> list[tuple[int, dict]]:
        """(number, document) of all that this evaluation asks, over all processes."""
        chosen = {key: self._asked.get(key) for key in ("limit", "samples")}
        return list(ConfigurableTask.doc_iterator(self, rank=0, world_size=1, **chosen))

    def apply_filters(self) -> None:
        """Take shared generations from their owners, then score all answers of the task at once."""
        for instance in self._all:
            owner = self._owner[id(instance)]
            instance.resps = owner.resps[: instance.repeats]  # with several processes, padding adds copies
        self._instances = self._all
        super().apply_filters()
        if "bypass" in self._metric_fn_list:  # --predict_only
            return
        for ensemble in self._filters:
            answers = [i.filtered_resps[ensemble.name] for i in self._all]
            samples = self._score(self._all, answers)
            for instance, sample in zip(self._all, samples, strict=True):
                instance.filtered_resps[ensemble.name] = Scored(sample)

    def _score(self, instances: Sequence[Instance], generations: Sequence[str]) -> list[Sample]:
        responses = [self._response(i, text) for i, text in zip(instances, generations, strict=True)]
        return score_responses(responses, self.scorers, self.parts(), self.options())

    def _response(self, instance: Instance, generation: str) -> Response:
        doc, missing = instance.doc, answer.why_not_given(generation)
        response = Response(
            id=doc["id"],
            task=self.config.task,
            role=doc["role"],
            question=doc["question"],
            reference=doc["answer"] or None,
            response="" if missing else without_surrogates(generation).strip(),
            missing=missing,
            cluster=doc["cluster"],
        )
        if missing or not self.metadata.get("first_answer", True):
            return response
        markers = self.thinking_markers
        return answer.apply(response, markers=markers, opened=answer.is_open(instance.args[0], markers))

    def process_results(self, doc: dict, results: Sequence[Scored]) -> dict[str, float | None]:
        """Hand out the numbers of one answer."""
        if "bypass" in self._metric_fn_list:
            return {"bypass": None}
        return {metric.name: Value(results[0].sample, metric.name) for metric in self.metrics}


class FluencyTask(UnlearnTask):
    """`ls`: scores the answers of all other tasks of the evaluation; alone, answers to the embedded fluency prompts.

    Beside others it asks nothing: after the generation it takes their answers, each question once, whatever was asked
    of them (limits, chosen documents) and on the process that asked it. A document is named TASK/ID, since tasks share
    ids.
    """

    def _others(self) -> list[UnlearnTask]:
        return sorted((t for t in self._evaluation.tasks if type(t) is UnlearnTask), key=lambda t: t.config.task)

    def build_all_requests(self, **kwargs: object) -> None:
        """Nothing beside other tasks."""
        if self._others():
            self._join(self.config.task)
            self._all, self._owner, self._instances = [], {}, []
        else:
            super().build_all_requests(**kwargs)

    def apply_filters(self) -> None:
        """Take the answers of the other tasks, then score them."""
        if self._others():
            self._all = [_copy_for(self, number, doc, instance) for number, doc, instance in self._taken()]
            self._owner = {id(instance): instance for instance in self._all}
        super().apply_filters()

    def _taken(self) -> Iterator[tuple[int, dict, Instance]]:
        """(number, document, request) of each different question that this process asked."""
        number, seen = 0, set()
        for task in self._others():
            instances = {instance.doc_id: instance for instance in task._all}
            for k, doc in task.asked_docs():
                if doc["question"] in seen:
                    continue
                seen.add(doc["question"])
                if k in instances:
                    owner = task._owner[id(instances[k])]
                    yield number, {**doc, "id": f"{task.config.task}/{doc['id']}"}, owner
                number += 1

    def doc_iterator(self, **kwargs: object) -> Iterator[tuple[int, dict]]:
        """Beside other tasks the documents whose answers were taken, else the fluency prompts."""
        if self._others():
            return iter([(instance.doc_id, instance.doc) for instance in self._all])
        return super().doc_iterator(**kwargs)

    def _judged_dataset(self) -> str:
        others = [task._judged_dataset() for task in self._others()] or [super()._judged_dataset()]
        return next((name for name in others if name != profiles.NANO), profiles.NANO)

    def dataset_info(self) -> DatasetInfo:
        """Identity of the rows whose answers were scored."""
        others = self._others()
        if not others:
            return super().dataset_info()
        hashes = {task.config.task: task.dataset_info().sha256 for task in others}
        return DatasetInfo(
            name="tasks", split="+".join(hashes), revision=None, sha256=sha256_json(hashes), source="this run"
        )


def _copy_for(task: UnlearnTask, number: int, doc: dict, answered: Instance) -> Instance:
    """A request of `task` that holds the answers to another task's request."""
    metadata = (task.config.task, number, answered.repeats)
    return Instance(answered.request_type, doc, answered.arguments, 0, metadata, resps=list(answered.resps))


def _generation_key(instance: Instance) -> str:
    """Equal for requests that must have equal answers: sampled ones never share between documents."""
    settings = instance.args[-1]
    sampled = settings.get("do_sample") or instance.repeats > 1
    return json.dumps([instance.request_type, instance.args, instance.repeats, instance.doc_id if sampled else None])


def _options(metadata: Mapping[str, object]) -> dict[str, object]:
    """Scorer options (kfr_rule, …): whatever the metadata holds that is a scorer's option."""
    known = default_options()
    return {key: value for key, value in metadata.items() if key in known}


def _aggregate(values: Sequence[Value], metric: str, scorers: Sequence[str], options: Mapping[str, object]) -> float:
    result = aggregate([v.sample for v in values], scorers, options, only={metric}, resamples=0)[metric]
    return math.nan if result.value is None else result.value
