"""Ask the questions of a plan: prompts go out, answers come back. Nothing is scored here.

Where several processes share the work, each asks every n-th row of each question set.
"""

from unlearn_bench.harness.backends import JudgedModel
from unlearn_bench.harness.definitions import prompt_text, read_answer, response_to
from unlearn_bench.harness.plan import Plan
from unlearn_bench.harness.spec import PromptSettings
from unlearn_bench.schema import NOT_ASKED, Response, Row


def observe(
    plan: Plan, model: JudgedModel, prompts: PromptSettings = PromptSettings(), *, seed: int = 0
) -> dict[str, list[Response]]:
    """Ask every question set of a plan, all in one call of the model.

    Args:
        plan: What is asked.
        model: Who answers.
        prompts: How rows become prompts, and generations answers.
        seed: Of draws whose seed we cannot choose for each question by itself.

    Returns:
        Question set to the answers to this process's share of its rows, in their order.
    """
    from lm_eval.api.instance import Instance
    from transformers import set_seed

    set_seed(seed)
    asked: list[tuple[str, Row]] = []
    requests = []
    observed: dict[str, list[Response]] = {}
    for name, question_set in plan.question_sets.items():
        share = question_set.rows[model.lm.rank :: model.lm.world_size]
        if "answer" not in question_set.probes:
            observed[name] = [response_to(row, name, missing=NOT_ASKED) for row in share]
            continue
        observed[name] = []
        settings = dict(question_set.task.generation)
        for number, row in enumerate(share):
            prompt = prompt_text(question_set.task, row, prompts, model.template)
            requests.append(Instance("generate_until", {}, (prompt, settings), 0, (name, number, 1)))
            asked.append((name, row))
    generations = model.lm.generate_until(requests) if requests else []
    markers = model.prompts.thinking_markers if model.prompts else ()
    for (name, row), request, generation in zip(asked, requests, generations, strict=True):
        cut = plan.question_sets[name].task.asked_with(prompts).first_answer
        response = read_answer(row, name, request.args[0], generation, markers=markers, first_answer=cut)
        observed[name].append(response)
    return observed
