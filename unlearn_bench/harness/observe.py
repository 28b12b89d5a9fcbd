"""Ask the questions of a plan: prompts go out, answers and likelihoods come back. Nothing is scored here.

Where several processes share the work, each asks every n-th row of each question set.
"""

from collections.abc import Mapping, Sequence

from unlearn_bench.errors import UserError
from unlearn_bench.harness import gradient, likelihood
from unlearn_bench.harness.backends import JudgedModel
from unlearn_bench.harness.definitions import prompt_text, read_answer, response_to
from unlearn_bench.harness.likelihood import Asked, asked_of, distinct
from unlearn_bench.harness.plan import Plan, QuestionSet
from unlearn_bench.harness.spec import PromptSettings
from unlearn_bench.schema import NOT_ASKED, Gradient, Likelihood, Response, Row
from unlearn_bench.scorers import SCORERS

Observed = dict[str, list[Response]]
Prompted = dict[str, list[tuple[Row, str]]]
"""Question set to this process's rows of it, each with its prompt."""


def observe(plan: Plan, model: JudgedModel, prompts: PromptSettings = PromptSettings(), *, seed: int = 0) -> Observed:
    """Ask every question set of a plan by its probes, all in one call of the model for each kind of them.

    Args:
        plan: What is asked.
        model: Who answers.
        prompts: How rows become prompts, and generations answers.
        seed: Of draws whose seed we cannot choose for each question by itself.

    Returns:
        Question set to the observations of this process's share of its rows, in their order.

    Raises:
        UserError: for a question set of which the backend can observe nothing.
    """
    from transformers import set_seed

    for name, question_set in plan.question_sets.items():
        probes = [SCORERS.get(scorer).probes for scorer in question_set.scorers]
        if not model.can.gradients and probes and all(gradient.PROBE in own for own in probes):
            raise UserError(
                f"{name} asks for gradients, and this backend computes none",
                hint="use --backend hf, or other --metrics",
            )
        if not model.can.likelihood and question_set.probes <= {*likelihood.PROBES, gradient.PROBE}:
            raise UserError(
                f"{name} asks for log-probabilities of given texts, and this backend gives none",
                hint="use --backend hf or vllm; for a server that echoes log-probabilities, "
                "--model-args endpoint=completions and --tokenizer FOLDER",
            )
        if model.prompts is None and any(row.prefill for row in question_set.rows):
            raise UserError(
                f"{name} begins the model's answers, which a chat server does not take", hint="use --backend hf or vllm"
            )
    set_seed(seed)
    rows: Prompted = {
        name: [(row, prompt_text(asked.task, row, prompts, model.template)) for row in _share(asked, model)]
        for name, asked in plan.question_sets.items()
    }
    return _add_likelihoods(plan, model, prompts, rows, _answers(plan, model, prompts, rows))


def _share(question_set: QuestionSet, model: JudgedModel) -> list[Row]:
    """This process's rows, their reference answers shortened where the task says so.

    Raises:
        UserError: if the judged model's tokenizer, which counts the tokens, is not there.
    """
    rows, most = list(question_set.rows[model.lm.rank :: model.lm.world_size]), question_set.task.reference_tokens
    if most is None:
        return rows
    if model.prompts is None:
        raise UserError(
            f"{question_set.name}: its references are cut to {most} tokens of the model, and --backend api shows none",
            hint="use --backend hf or vllm",
        )
    return [row.model_copy(update={"answer": model.prompts.first(row.answer, most)}) for row in rows]


def _answers(plan: Plan, model: JudgedModel, prompts: PromptSettings, rows: Prompted) -> Observed:
    """What the model writes, where a scorer reads that."""
    from lm_eval.api.instance import Instance

    asked: list[tuple[str, Row]] = []
    requests = []
    observed: Observed = {}
    for name, question_set in plan.question_sets.items():
        if "answer" not in question_set.probes:
            observed[name] = [response_to(row, name, missing=NOT_ASKED) for row, _ in rows[name]]
            continue
        observed[name] = []
        settings = dict(question_set.task.generation)
        for number, (row, prompt) in enumerate(rows[name]):
            requests.append(Instance("generate_until", {}, (prompt, settings), 0, (name, number, 1)))
            asked.append((name, row))
    generations = model.lm.generate_until(requests) if requests else []
    markers = model.prompts.thinking_markers if model.prompts else ()
    for (name, row), request, generation in zip(asked, requests, generations, strict=True):
        cut = plan.question_sets[name].task.asked_with(prompts).first_answer
        response = read_answer(row, name, request.args[0], generation, markers=markers, first_answer=cut)
        observed[name].append(response)
    return observed


def _add_likelihoods(
    plan: Plan, model: JudgedModel, prompts: PromptSettings, rows: Prompted, observed: Observed
) -> Observed:
    """The responses with what the model says of given texts, where a scorer reads that."""
    wanted: dict[str, list[dict[str, Asked]]] = {}
    for name, question_set in plan.question_sets.items():
        if question_set.probes & likelihood.PROBES:
            settings = question_set.task.asked_with(prompts)
            own = model.prompts_for(settings)
            wanted[name] = [asked_of(row, question_set.probes, prompt, settings, own) for row, prompt in rows[name]]
    asked = distinct(one for listed in wanted.values() for row in listed for one in row.values())
    found: list[Likelihood | str] = [likelihood.NOT_GIVEN] * len(asked)
    if model.can.likelihood and asked:
        found = model.lm.likelihood(asked)
    by_key = dict(zip((one.key for one in asked), found, strict=True))
    observed = observed | {
        name: [likelihood.add(response, one, by_key) for response, one in zip(observed[name], listed, strict=True)]
        for name, listed in wanted.items()
    }
    return _add_gradients(plan, model, wanted, observed)


def _add_gradients(
    plan: Plan, model: JudgedModel, wanted: Mapping[str, Sequence[Mapping[str, Asked]]], observed: Observed
) -> Observed:
    """The responses with how much their reference answers would move the weights, where a scorer reads that."""
    for name, question_set in plan.question_sets.items():
        if gradient.PROBE not in question_set.probes:
            continue
        asked = [gradient.asked_of(one, question_set.task.scoring.options) for one in wanted[name]]
        found: list[Gradient | str] = [gradient.NOT_GIVEN] * len(asked)
        if model.can.gradients and asked:
            found = model.lm.gradients(asked)
        observed[name] = [gradient.add(response, one) for response, one in zip(observed[name], found, strict=True)]
    return observed
