"""A leaderboard as a document: what it asks for, and who answered.

`leaderboards/<benchmark>.json` is a `Board`; its JSON Schema is published as `leaderboards/board.schema.json`. Nothing
derived is stored (ranks, fronts, normalised values), so that one new entry changes no line of another.
"""

import re
from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from unlearn_bench.results import value_of
from unlearn_bench.results.identity import Setting
from unlearn_bench.schema import Finite, Result, Role, Sha256, Share, Strict
from unlearn_bench.untrusted import naming, strings

BOARD_VERSION = "1.0"
WORST_AXIS = "worst_axis"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
AXES = ("forgetting", "retention", "fluency")

Axis = Literal["forgetting", "retention", "fluency"]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
MetricKey = Annotated[str, Field(pattern=r"^[\w.:@+-]{1,100}/[\w.:@+-]{1,100}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


def _address(url: str) -> str:
    problem = strings.url_problem(url)
    if problem:
        raise ValueError(problem)
    return url


def _line(text: str) -> str:
    problem = naming.problem(text, limit=naming.MAX_TITLE)
    if problem:
        raise ValueError(f"the text {problem}")
    return text


Address = Annotated[str, AfterValidator(_address)]
Line = Annotated[str, AfterValidator(_line)]


class TaskRule(Strict):
    """What every entry must have answered. A field that is None is pinned by the first accepted entry.

    `unlearn-bench pin` fills what this package knows of its own tasks, so that no first entry has to be trusted.

    Attributes:
        n: Rows of the dataset; an entry over fewer questions is refused.
        dataset_sha256: Hash over the rows.
        question: The field of a row that is asked; None for that of this package's task, or "question".
        scorers: Metric name to the fingerprint of what makes it.
        scorer: Fingerprint of all scorers of the task, as boards of version 0.1 pin it.
        generation: How answers were generated.
    """

    version: str | None = None
    role: Role = Field(alias="split")
    n: int | None = Field(default=None, ge=1)
    dataset_sha256: Sha256 | None = None
    scorers: dict[str, Sha256] | None = None
    scorer: Sha256 | None = None
    generation: dict[str, Setting] | None = None
    question: Literal["question", "paraphrased_question"] | None = None


class DatasetRows(Strict):
    """What a board knows of a dataset whose rows it does not hold: each row's hash.

    Attributes:
        rows: The field that is asked, to row id, to `known_rows.row_digest` of question, answer, cluster and role.
    """

    name: str
    split: str
    revision: str | None = None
    rows: dict[str, dict[str, Sha256]]


class BoardMetric(Strict):
    """A number that the board shows, and what it measures.

    Attributes:
        key: "task/metric".
        axis: Which of the three ranking axes it is; None for a number that is shown and not ranked by.
        bounds: Smallest and largest possible value.
        proportion: The value is a share of the scored questions, so value * n is a whole number.
        required: An entry without it is refused. One without another metric of the board is listed without a rank.
    """

    key: MetricKey
    label: Line
    axis: Axis | None = None
    higher_is_better: bool
    bounds: tuple[Finite, Finite] = (0.0, 1.0)
    proportion: bool = False
    required: bool = True

    @property
    def task(self) -> str:
        """The task part of the key."""
        return self.key.split("/")[0]

    @property
    def metric(self) -> str:
        """The metric part of the key."""
        return self.key.split("/")[1]


class Anchors(Strict):
    """Which entries mean 0 and 1: the model before unlearning, and one that was never trained on the forget set."""

    original: str | None = None
    oracle: str | None = None


class Rules(Strict):
    """What `submit` enforces in addition to the rules of every board.

    Attributes:
        verified: Only entries are accepted whose samples ask the rows of the dataset and bear out the scores.
        weights: Only checkpoints with a weights digest are accepted (no API models).
        sort: Order of the entries in the file: "name", "submitted", "worst_axis", or a metric key.
        collapsed_below: A model whose retention or fluency cannot be told from at most this share of the original's is
            collapsed, and ranked behind every model that still works.
        scoring: The profile, parts and options that every entry is scored with, as `score` takes them; empty for the
            defaults. The options that a result states are ignored.
        chat_templates: Hashes of the chat templates that an entry may have; empty for any.
        tokenizers: Hashes of the tokenizers that an entry may have; empty for any.
    """

    verified: bool = False
    weights: bool = False
    sort: str = WORST_AXIS
    collapsed_below: Share = 0.01
    scoring: dict[str, Setting] = {}
    chat_templates: list[Sha256] = []
    tokenizers: list[Sha256] = []


class Training(Strict):
    """How the checkpoint was made, as its maker says."""

    method: str | None = None
    base_model: str | None = None
    parent_weights_sha256: Sha256 | None = None
    train_data_sha256: Sha256 | None = None
    hyperparameters: dict[str, Setting] = {}
    seed: int | None = None
    trainer: str | None = None


class Verification(Strict):
    """That the samples ask the dataset's rows, that the scores follow from them, and who found so.

    Attributes:
        level: "records": scores and intervals recomputed from the evidence that the samples record, which is believed;
            "rescored": the evidence computed again from the responses, with the board's scorers.
    """

    level: Literal["records", "rescored"]
    samples_sha256: Sha256
    rows: int = Field(ge=1)
    harness: str
    at: Time


class PublishedLog(Strict):
    """A log of answers that others published, and the one row that the board's maintainers scored from it.

    The answers stay where they were published: the board holds hashes and numbers. See `boards.published`.

    Attributes:
        entry: Name of the row.
        result_sha256: The only result that the row may hold.
        stands_for: What the log's model is: the one before unlearning, or one that never saw the forget set.
        file: Where the log is at its source.
        source: Address of the log, or of the page that offers it.
        revision: Commit of the source.
        licence: What the source says that may be done with it.
        sha256: Hash of the file as published, unpacked.
        known_rows: Task to how many of its rows are the dataset's word for word (question, reference, cluster).
    """

    entry: str
    result_sha256: Sha256
    stands_for: Literal["original", "oracle"]
    file: Line
    source: Address
    revision: Line | None = None
    licence: Line | None = None
    sha256: Sha256
    known_rows: dict[str, int] = {}


class PastEntry(Strict):
    """What an entry said before it was replaced; nothing is ever deleted."""

    submitted: Time
    replaced: Time
    result_sha256: Sha256
    weights_sha256: Sha256 | None = None
    values: dict[str, Finite | None]
    because: str | None = None


class Entry(Strict):
    """A row of the board.

    Attributes:
        result_sha256: Identity of the run; see `result_digest`.
        relationship: Who evaluated: the makers of the model ("first_party"), a third party, or not stated.
        result: The whole result, so that everything needed to trust the row is in it.
        history: Earlier results under this name, oldest first.
    """

    name: str
    submitted: Time
    submitter: str | None = None
    relationship: Literal["first_party", "third_party", "unspecified"] = "unspecified"
    paper: Address | None = None
    code: Address | None = None
    notes: str | None = None
    training: Training | None = None
    verification: Verification | None = None
    result_sha256: Sha256
    result: Result
    history: list[PastEntry] = []


class Board(Strict):
    """A leaderboard file.

    Attributes:
        datasets: Rows that samples are compared with, by the dataset's hash; those of embedded data are not repeated.
        logs: Published logs of which rows were scored, by the hash of their content (canonical JSON).
    """

    schema_version: Literal["1.0"] = BOARD_VERSION
    benchmark: Slug
    title: Line
    description: str
    rules: Rules = Rules()
    anchors: Anchors = Anchors()
    tasks: dict[str, TaskRule]
    metrics: list[BoardMetric] = Field(min_length=1)
    datasets: dict[Sha256, DatasetRows] = {}
    logs: dict[Sha256, PublishedLog] = {}
    entries: list[Entry] = []

    @model_validator(mode="after")
    def _consistent(self) -> "Board":
        keys = [metric.key for metric in self.metrics]
        if len(set(keys)) != len(keys):
            raise ValueError("a metric is declared twice")
        for metric in self.metrics:
            if metric.task not in self.tasks:
                raise ValueError(f"the metric {metric.key} belongs to a task that the board does not declare")
        if self.rules.sort not in ("name", "submitted", WORST_AXIS, *keys):
            raise ValueError(f"rules.sort is {self.rules.sort!r}: name, submitted, {WORST_AXIS}, or a metric's key")
        return self

    def axis_metrics(self) -> dict[str, BoardMetric]:
        """The metric of each ranking axis that the board declares; the first one where several claim an axis."""
        found: dict[str, BoardMetric] = {}
        for metric in self.metrics:
            if metric.axis is not None:
                found.setdefault(metric.axis, metric)
        return {axis: found[axis] for axis in AXES if axis in found}

    def entry(self, name: str) -> Entry | None:
        """The entry of that name, or None."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def published(self, entry: Entry) -> PublishedLog | None:
        """The published log that an entry was scored from; None where its result is not the one that is pinned."""
        pinned = (entry.name, entry.result_sha256)
        return next((log for log in self.logs.values() if (log.entry, log.result_sha256) == pinned), None)

    def content(self, log: PublishedLog) -> str:
        """The hash of the content of one of the board's logs."""
        return next(content for content, other in self.logs.items() if other is log)


def timestamp(now: datetime | None = None) -> str:
    """A time as boards write it (UTC, to the second); the clock's if None."""
    return (now or datetime.now(timezone.utc)).astimezone(timezone.utc).strftime(TIME_FORMAT)


def past_of(entry: Entry, board: Board, *, replaced: str, because: str | None = None) -> PastEntry:
    """What history keeps of an entry that is replaced."""
    return PastEntry(
        submitted=entry.submitted,
        replaced=replaced,
        result_sha256=entry.result_sha256,
        weights_sha256=entry.result.model.weights_sha256,
        values={metric.key: value_of(entry.result, metric.key) for metric in board.metrics},
        because=because,
    )


def slug(name: str, digest: str) -> str:
    """A file name for an entry: readable where the name allows it, unique by the digest, never a path.

    >>> slug("../../etc/<b>", "0123456789abcdef")
    'etc-b-01234567'
    """
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"{readable or 'entry'}-{digest[:8]}"


def json_schema() -> dict[str, object]:
    """The JSON Schema of a leaderboard file, as published."""
    return Board.model_json_schema(by_alias=False)
