"""One side of a comparison with another project, in a process of its own; prints one line of JSON.

    python -m tests.benchmarks.peers_worker SUBJECT SIDE ROWS DATA [CLONE]

Subjects: `likelihood`, open-unlearning's evaluator; `memory`, what it reads of forget answers alone, so that batches
can be as large as its configuration has them; `choice`, lm-eval's hf backend; `scoring`, the released ReLearn
evaluator; `npo`, open-unlearning's trainer; `relearn`, ReLearn's. Sides: `ours` and `theirs`; but for `choice`,
`theirs` runs the other project's own functions out of CLONE. SmolLM2-135M, float32, one thread; CPU seconds from the
loaded model on.
"""

import functools
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MODEL = "smollm2-135m"
BATCH = 32
_SETS = {"forget": "forget10", "retain": "retain", "neighbour": "real_authors", "world": "world_facts"}
Values = dict[str, list[float]]
# In place of the model's own template and padding token, on both sides. The own template writes a new line after the
# end of the answer; open-unlearning takes off only the very last token, so ES, EM and Min-K count two ending tokens
# there, where ours count none. The own padding token is the end of a turn: open-unlearning's collator hides every
# padding token from attention, and so the ends of all turns.
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def rows_of(data_dir: str, count: int) -> dict[str, list[Any]]:
    """Role to the first rows of TOFU; the holdout authors' place is taken by rows of the retain set."""
    from unlearn_bench import data

    found = {role: data.load("tofu", split, data_dir=data_dir).rows[:count] for role, split in _SETS.items()}
    plain = data.load("tofu", "retain99", data_dir=data_dir).rows[:count]
    return found | {"holdout": [row.model_copy(update={"role": "holdout"}) for row in plain]}


def load() -> tuple[Any, Any]:
    import torch

    from unlearn_bench.models import subject

    torch.set_num_threads(1)
    model, tokenizer = subject.load_subject(MODEL, device="cpu", dtype="float32")
    tokenizer.chat_template = TEMPLATE
    tokenizer.pad_token = "<|endoftext|>"
    return model, tokenizer


def likelihood_ours(rows: Mapping[str, list[Any]]) -> Callable[[], Values]:
    from unlearn_bench.evidence import profiles
    from unlearn_bench.evidence.pipeline import score_responses
    from unlearn_bench.harness.backends import in_training
    from unlearn_bench.harness.definitions import Task
    from unlearn_bench.harness.observe import observe
    from unlearn_bench.harness.plan import Plan, QuestionSet
    from unlearn_bench.harness.spec import PromptSettings

    model, tokenizer = load()
    settings = PromptSettings(prompt="chat", answer_end="open-unlearning")
    names = ("probability", "probability_normalised", "truth_ratio", "extraction_strength", "exact_memorization",
             "loss", "loss_zlib", "min_k", "min_k_plus_plus")  # fmt: skip
    judged = in_training(model, tokenizer, settings, batch_size=BATCH)

    def measured() -> Values:
        sets = {
            role: QuestionSet(role, Task(role, "1", "tofu", role, "question", (), {}), own, (),
                              frozenset({"likelihood"}), "tofu")
            for role, own in rows.items()
        }  # fmt: skip
        observed = observe(Plan(sets, {role: one.task for role, one in sets.items()}, {}), judged, settings)
        found: Values = {}
        for role, responses in observed.items():
            for sample in score_responses(responses, names, profiles.parts_from({}), {"parity": "open-unlearning"}):
                for metric, value in sample.scores.items():
                    found.setdefault(f"{role}/{metric}", []).append(value)
        return found

    return measured


def choices_of(data_dir: str, count: int) -> dict[str, list[Any]]:
    """TOFU's questions with four options each: half ask for a letter behind the listed options, half for the answer."""
    from unlearn_bench import data
    from unlearn_bench.schema import Row

    found: dict[str, list[Any]] = {"letters": [], "answers": []}
    rows = [row for split in _SETS.values() for row in data.load("tofu", split, data_dir=data_dir).rows]
    for i, row in enumerate([row for row in rows if len(row.perturbed_answers) >= 3][:count]):
        options, gold = row.perturbed_answers[:3], i % 4
        options.insert(gold, row.answer)
        question = f"Question: {row.question}\n"
        if i % 2:
            found["answers"].append(Row(id=str(i), role="forget", question=f"{question}Answer:", answer=row.answer,
                                        choices=options, gold=gold))  # fmt: skip
            continue
        listed = "\n".join(f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=True))
        found["letters"].append(Row(id=str(i), role="forget", question=f"{question}{listed}\nAnswer:",
                                    answer="ABCD"[gold], choices=list("ABCD"), gold=gold))  # fmt: skip
    return found


def choice_ours(rows: Mapping[str, list[Any]]) -> Callable[[], Values]:
    """The sum of each option's log-probabilities, as the tasks of WMDP have them."""
    from unlearn_bench.harness.backends import in_training
    from unlearn_bench.harness.definitions import Task
    from unlearn_bench.harness.observe import observe
    from unlearn_bench.harness.plan import Plan, QuestionSet
    from unlearn_bench.harness.spec import PromptSettings

    model, tokenizer = load()
    settings = PromptSettings(prompt="plain", answer_end="none")
    judged = in_training(model, tokenizer, settings, batch_size=BATCH)

    def measured() -> Values:
        sets = {
            kind: QuestionSet(kind, Task(kind, "1", "wmdp", kind, "question", (), {}), own, (), frozenset({"choice"}),
                              "wmdp")
            for kind, own in rows.items()
        }  # fmt: skip
        observed = observe(Plan(sets, {kind: one.task for kind, one in sets.items()}, {}), judged, settings)
        return {
            kind: [one.mean_logprob * one.tokens for response in own for one in response.likelihoods.values()]
            for kind, own in observed.items()
        }

    return measured


def choice_theirs(rows: Mapping[str, list[Any]], batch_size: str) -> Callable[[], Values]:
    """lm-eval's hf backend, asked as its multiple-choice tasks ask it."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model, tokenizer = load()
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=int(batch_size))

    def measured() -> Values:
        asked = [(kind, row.question, f" {text}") for kind, own in rows.items() for row in own for text in row.choices]
        requests = [Instance("loglikelihood", {}, (question, text), 0) for _, question, text in asked]
        found: Values = {}
        for (kind, _, _), (value, _) in zip(asked, lm.loglikelihood(requests, disable_tqdm=True), strict=True):
            found.setdefault(kind, []).append(value)
        return found

    return measured


def _evaluator(rows: Mapping[str, list[Any]], folder: str) -> tuple[Callable[..., dict], Callable[[str, str], Any]]:
    """Their metrics by name, and their dataset of a role and a kind of answer."""
    sys.path.insert(0, f"{folder}/src")
    from data import QADataset
    from data.collators import DataCollatorForSupervisedDataset
    from evals.metrics import METRICS_REGISTRY

    model, tokenizer = load()
    # transformers 5 returns a mapping where the version that they name returned ids
    tokenizer.apply_chat_template = functools.partial(tokenizer.apply_chat_template, return_dict=False)
    collator = DataCollatorForSupervisedDataset(tokenizer, padding_side="right", index="index")
    lines = {
        role: [{"question": r.question, "answer": r.answer, "paraphrased_answer": r.paraphrased_answer or r.answer,
                "perturbed_answer": r.perturbed_answers} for r in own]
        for role, own in rows.items()
    }  # fmt: skip
    files = {role: _written(own) for role, own in lines.items()}

    def dataset(role: str, key: str) -> Any:
        arguments = {"path": "json", "data_files": str(files[role]), "split": "train"}
        return QADataset(arguments, {"apply_chat_template": True}, tokenizer, answer_key=key)

    def of(metric: str, **more: object) -> dict[str, Any]:
        function = METRICS_REGISTRY[metric]._metric_fn
        return function(model, collators=collator, batch_size=BATCH, tokenizer=tokenizer, **more)

    return of, dataset


def memory_theirs(rows: Mapping[str, list[Any]], folder: str) -> Callable[[], Values]:
    """Extraction strength of the forget answers: their log-softmax of whole batches."""
    of, dataset = _evaluator(rows, folder)

    def measured() -> Values:
        told = of("extraction_strength", data=dataset("forget", "answer"))["value_by_index"]
        return {"forget/extraction_strength": [one["score"] for one in told.values()]}

    return measured


def likelihood_theirs(rows: Mapping[str, list[Any]], folder: str) -> Callable[[], Values]:
    """The metrics of configs/eval/tofu_metrics on forget, holdout, retain, real authors and world facts."""
    of, dataset = _evaluator(rows, folder)

    def measured() -> Values:
        found: Values = {}
        for role in ("forget", "retain", "neighbour", "world"):
            right = of("probability", data=dataset(role, "answer"))["value_by_index"]
            found[f"{role}/probability"] = [one["prob"] for one in right.values()]
            wrong = of("probability", data=dataset(role, "perturbed_answer"))["value_by_index"]
            if role in ("forget", "retain"):
                right = of("probability", data=dataset(role, "paraphrased_answer"))["value_by_index"]
            else:
                both = {"correct": {"value_by_index": right}, "wrong": {"value_by_index": wrong}}
                share = of("probability_w_options", pre_compute=both)["value_by_index"]
                found[f"{role}/probability_normalised"] = [float(one["prob"]) for one in share.values()]
            both = {"correct": {"value_by_index": right}, "wrong": {"value_by_index": wrong}}
            ratio = of("truth_ratio", pre_compute=both, aggregator="true_better")["value_by_index"]
            r = [float(one["score"]) for one in ratio.values()]
            own = [min(x, 1 / (x + 1e-10)) for x in r] if role == "forget" else [max(0.0, 1 - x) for x in r]
            found[f"{role}/truth_ratio"] = own
        for metric in ("extraction_strength", "exact_memorization"):
            told = of(metric, data=dataset("forget", "answer"))["value_by_index"]
            found[f"forget/{metric}"] = [one["score"] for one in told.values()]
        for attack, name in (("mia_loss", "loss"), ("mia_zlib", "loss_zlib"), ("mia_min_k", "min_k"),
                             ("mia_min_k_plus_plus", "min_k_plus_plus")):  # fmt: skip
            both = {role: dataset(role, "answer") for role in ("forget", "holdout")}
            told = of(attack, data=both, k=0.4)
            for role in both:
                found[f"{role}/{name}"] = [one["score"] for one in told[role]["value_by_index"].values()]
        return found

    return measured


def _written(lines: list[dict[str, object]]) -> Path:
    path = Path(tempfile.mkdtemp()) / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def _prepared(subject: str, side: str, count: str, data_dir: str, *clone: str) -> Callable[[], Values]:
    """What is measured, with everything loaded."""
    if subject == "scoring":
        from tests.benchmarks import peers_scoring as scoring

        items = scoring.items_of(data_dir, int(count))
        return scoring.ours(items) if side == "ours" else scoring.theirs(items, *clone)
    if subject in ("npo", "relearn"):
        from tests.benchmarks import peers_training as training

        pairs = training.rows_of(data_dir, subject)
        other = {"npo": training.npo_theirs, "relearn": training.relearn_theirs}[subject]
        return training.ours(subject, pairs) if side == "ours" else other(pairs, *clone)
    own, other = {
        "likelihood": (likelihood_ours, likelihood_theirs),
        "memory": (likelihood_ours, memory_theirs),
        "choice": (choice_ours, choice_theirs),
    }[subject]
    rows = choices_of(data_dir, int(count)) if subject == "choice" else rows_of(data_dir, int(count))
    if subject == "memory":
        rows = {"forget": [row.model_copy(update={"perturbed_answers": []}) for row in rows["forget"]]}
    return own(rows) if side == "ours" else other(rows, *clone)


def main() -> None:
    measured = _prepared(*sys.argv[1:])
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.process_time()
    values = measured()
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mib": peak, "loaded_mib": loaded, "values": values}))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
