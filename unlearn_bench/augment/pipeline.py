"""The four stages in order: question variants, vague answers, verification with retries, diversification.

Every text that is wanted ends as a row or as a `FailedText`: nothing is dropped silently. The order of the rows
depends on the sources only, not on which request was answered first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from unlearn_bench.augment import verify
from unlearn_bench.augment._topic import topics
from unlearn_bench.augment.diversify import COMPLETION_SHARE, GENERIC_RATIO, completions, generic
from unlearn_bench.augment.rows import (
    VARIANTS,
    AugmentedRow,
    Failed,
    FailedText,
    Kind,
    Request,
    SensitivePair,
    Variant,
    Writer,
)
from unlearn_bench.errors import UserError

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AugmentSettings:
    """What to make.

    Attributes:
        variants: Of each question, in addition to the question itself.
        verify: Refuse answers and variants that give something away; without it they are "unverified".
        strict: Take every content word of a sensitive answer for a secret, ordinary ones too.
        judge: Also ask the writer's model for its opinion.
        completion: Make a sentence completion of every augmented answer.
        generic_ratio: Generic rows for each other row.
        tries: Texts asked for until one is accepted; None for the writer's own number.
        keep_original_answer: Also write the sensitive answer, for preferences (relearn_dpo).
    """

    variants: tuple[Variant, ...] = VARIANTS
    verify: bool = True
    strict: bool = False
    judge: bool = False
    completion: bool = True
    completion_share: float = COMPLETION_SHARE
    generic_ratio: float = GENERIC_RATIO
    tries: int | None = None
    seed: int = 0
    keep_original_answer: bool = False


@dataclass
class Counts:
    """Counts on the way.

    Attributes:
        first_answers, first_leaks: Answers of the first try that came at all, and how many of them gave something away.
        retries: Texts asked for again, by stage.
        refused: Reason to count, over all tries.
    """

    first_answers: int = 0
    first_leaks: int = 0
    retries: dict[str, int] = field(default_factory=lambda: {"question": 0, "answer": 0})
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, problem: str) -> None:
        """Count a refused text by the first word of its reason."""
        key = problem.split(":")[0]
        self.refused[key] = self.refused.get(key, 0) + 1


@dataclass(frozen=True)
class Augmented:
    """Everything that was made, and what was not."""

    rows: list[AugmentedRow]
    failed: list[FailedText]
    counts: Counts


@dataclass
class _Job:
    """A pending text: its request, why the attempts so far were refused, and the feedback for the writer."""

    request: Request
    problem: str | None = None
    reasons: list[str] = field(default_factory=list)
    text: str | None = None
    question_tries: int = 0

    @property
    def tries(self) -> int:
        return len(self.reasons) + (self.text is not None)


def augment(
    sources: Sequence[SensitivePair],
    writer: Writer,
    generic_pairs: Sequence[tuple[str, str]] = (),
    settings: AugmentSettings = AugmentSettings(),
    progress: Progress = lambda stage, done, total: None,
) -> Augmented:
    """Make the training rows of all sources.

    Args:
        sources: The sensitive pairs; ids must differ.
        writer: Who writes the variants and the answers.
        generic_pairs: Question and answer; used again when there are too few.
        settings: What to make.
        progress: Called with the stage's name, texts done and texts wanted.

    Raises:
        UserError: if there is nothing to augment, or generic rows are wanted and there is no generic pair.
    """
    if not sources:
        raise UserError("nothing to augment: no rows")
    if settings.generic_ratio > 0 and not generic_pairs:
        raise UserError("generic rows are wanted and no generic pairs are given", hint="--generic-ratio 0 goes without")
    run = _Run(sources, writer, settings, progress)
    asked, failed = run.questions()
    answered, more = run.answers(asked)
    rows = [run.row(job) for job in answered]
    if settings.completion:
        rows += completions(rows, settings.completion_share)
    rows += generic(generic_pairs, round(settings.generic_ratio * len(rows)), seed=settings.seed)
    return Augmented(rows, [*failed, *more], run.counts)


def ordinary(sources: Sequence[SensitivePair]) -> verify.Ordinary:
    """Words of the sensitive answers that are not secret; a source's subject is its cluster, else its topic."""
    found = topics([source.question for source in sources])
    subjects = [source.cluster or topic.name for source, topic in zip(sources, found, strict=True)]
    return verify.ordinary_words([source.answer for source in sources], subjects)


class _Run:
    """One pass over the sources."""

    def __init__(
        self, sources: Sequence[SensitivePair], writer: Writer, settings: AugmentSettings, progress: Progress
    ) -> None:
        self._sources, self._writer, self._settings, self._progress = sources, writer, settings, progress
        self._tries = settings.tries or writer.tries
        self._taken: set[tuple[str, str, str]] = set()  # stage, cluster and plain form of accepted texts
        self._forbidden = frozenset(verify.plain(q) for s in sources for q in (s.question, *s.forbidden))
        self.ordinary: verify.Ordinary | None = None if settings.strict else ordinary(sources)
        self.counts = Counts()

    def questions(self) -> tuple[list[_Job], list[FailedText]]:
        """(answers to be asked for, questions that failed); the original question needs no writing."""
        wanted = [Request(s, kind, s.question) for s in self._sources for kind in self._settings.variants]
        jobs = self._until_good("question", wanted, self._writer.questions, self._question_problems)
        by_key = {(job.request.source.id, job.request.kind): job for job in jobs}
        asked: list[_Job] = []
        for source in self._sources:
            asked.append(_Job(Request(source, "original_question", source.question)))
            for kind in self._settings.variants:
                job = by_key[source.id, kind]
                if job.text is not None:
                    asked.append(_Job(Request(source, kind, job.text), question_tries=job.tries))
        return asked, _failures(jobs, "question")

    def answers(self, asked: Sequence[_Job]) -> tuple[list[_Job], list[FailedText]]:
        """(jobs with their answers, answers that failed)."""
        jobs = self._until_good("answer", [j.request for j in asked], self._writer.answers, self._answer_problems)
        for job, before in zip(jobs, asked, strict=True):
            job.question_tries = before.question_tries
        return [job for job in jobs if job.text is not None], _failures(jobs, "answer")

    def row(self, job: _Job) -> AugmentedRow:
        """The training row of an accepted answer."""
        source, kind = job.request.source, job.request.kind
        return AugmentedRow(
            id=f"{source.id}-{kind}",
            kind=kind,
            text=job.request.question,
            answer=job.text or "",
            source_id=source.id,
            verdict="clean" if self._settings.verify else "unverified",
            tries=job.tries,
            question_tries=job.question_tries,
            original_answer=source.answer if self._settings.keep_original_answer else None,
        )

    def _until_good(
        self,
        stage: str,
        requests: Sequence[Request],
        write: Callable[[Sequence[Request]], Sequence[str | Failed]],
        problems: Callable[[Sequence[_Job], Sequence[str]], list[str | None]],
    ) -> list[_Job]:
        jobs = [_Job(request) for request in requests]
        pending = jobs
        for attempt in range(self._tries):
            if not pending:
                break
            self._progress(stage, len(jobs) - len(pending), len(jobs))
            if attempt:
                self.counts.retries[stage] += len(pending)
            for job in pending:
                job.request = replace(job.request, attempt=attempt, problem=job.problem)
            self._judge(stage, pending, write([job.request for job in pending]), problems)
            pending = [job for job in pending if job.text is None]
        self._progress(stage, len(jobs) - len(pending), len(jobs))
        return jobs

    def _judge(
        self,
        stage: str,
        pending: Sequence[_Job],
        texts: Sequence[str | Failed],
        problems: Callable[[Sequence[_Job], Sequence[str]], list[str | None]],
    ) -> None:
        written = [(j, t.strip()) for j, t in zip(pending, texts, strict=True) if not isinstance(t, Failed)]
        for job, text in zip(pending, texts, strict=True):
            if isinstance(text, Failed):
                self._refuse(job, f"{text.reason}: {text.detail}".rstrip(": "))
                job.problem = None  # a fault of the connection is nothing that the next text could do better
        found = problems([job for job, _ in written], [text for _, text in written])
        for (job, text), problem in zip(written, found, strict=True):
            source = job.request.source
            key = (stage, source.cluster or source.id, verify.plain(text))
            if problem is None and key in self._taken:
                problem = "duplicate"
            if problem is None:
                job.text = text
                self._taken.add(key)
            else:
                self._refuse(job, problem)
                job.problem = problem

    def _refuse(self, job: _Job, problem: str) -> None:
        job.reasons.append(problem)
        self.counts.refuse(problem)

    def _question_problems(self, jobs: Sequence[_Job], texts: Sequence[str]) -> list[str | None]:
        result = []
        for job, text in zip(jobs, texts, strict=True):
            source = job.request.source
            problem = verify.question_problem(
                source.question, source.answer, text, self._forbidden, self._ordinary(source)
            )
            leak = problem is not None and problem.startswith("leak")
            result.append(None if leak and not self._settings.verify else problem)
        return result

    def _answer_problems(self, jobs: Sequence[_Job], texts: Sequence[str]) -> list[str | None]:
        result = []
        for job, text in zip(jobs, texts, strict=True):
            source = job.request.source
            problem = verify.answer_problem(source.question, source.answer, text, self._ordinary(source))
            if job.request.attempt == 0:
                self.counts.first_answers += 1
                self.counts.first_leaks += problem is not None and problem.startswith("leak")
            result.append(problem if self._settings.verify or problem == "original_answer" else None)
        if self._settings.verify and self._settings.judge:
            self._ask_the_model(jobs, texts, result)
        return result

    def _ordinary(self, source: SensitivePair) -> verify.Ordinary | None:
        return None if self.ordinary is None else self.ordinary | source.phrasing

    def _ask_the_model(self, jobs: Sequence[_Job], texts: Sequence[str], result: list[str | None]) -> None:
        """Put the model's opinion where the rules found nothing."""
        open_ones = [i for i, problem in enumerate(result) if problem is None]
        opinions = self._writer.judge([(jobs[i].request.source, texts[i]) for i in open_ones])
        for i, opinion in zip(open_ones, opinions, strict=True):
            if isinstance(opinion, Failed):
                result[i] = f"no_verdict: {opinion.reason}"
            elif opinion.leaks:
                result[i] = f"judged_leak: {', '.join(opinion.leaked)}"
            if jobs[i].request.attempt == 0:
                self.counts.first_leaks += not isinstance(opinion, Failed) and opinion.leaks


def _failures(jobs: Sequence[_Job], stage: str) -> list[FailedText]:
    def text(job: _Job) -> FailedText:
        kind: Kind = job.request.kind
        return FailedText(job.request.source.id, kind, stage, tuple(job.reasons))  # type: ignore[arg-type]

    return [text(job) for job in jobs if job.text is None]
