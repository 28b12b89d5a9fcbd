"""Training steps beside open-unlearning's trainer (npo+gdr) and ReLearn's (relearn+gdr): same weights, rows, tokens.

All rows are in every step, so that their order is no difference; AdamW, a constant rate, gradients cut at norm 1. What
is changed of the other projects' trainers, so that they run with transformers 5, on one CPU: the arguments that
`compute_loss` is called with, the optimizer (theirs is paged, for GPUs), and DeepSpeed, which is replaced by nothing.
"""

import functools
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.benchmarks.peers_worker import Values, load
from tests.benchmarks.training import trainer

ROWS, STEPS, RATE, MAX_LENGTH = 4, 2, 1e-5, 512  # 512: what ReLearn's scripts pad to
METHODS = {"npo": "npo+gdr", "relearn": "relearn+gdr"}
Rows = dict[str, list[tuple[str, str]]]


def rows_of(data_dir: str, subject: str) -> Rows:
    """Question and answer of TOFU's first rows; ReLearn forgets by answers in other words."""
    from unlearn_bench import data

    forget, retain = (data.load("tofu", s, data_dir=data_dir).rows[:ROWS] for s in ("forget10", "retain"))
    other = subject == "relearn"
    said = [(r.question, (other and r.paraphrased_answer) or r.answer) for r in forget]
    return {"forget": said, "retain": [(r.question, r.answer) for r in retain]}


def ours(subject: str, rows: Rows) -> Callable[[], Values]:
    from unlearn_bench.data.pairs import Pair
    from unlearn_bench.trainers._batches import PairedDataset
    from unlearn_bench.trainers._data import Encoder

    model, tokenizer = load()
    encoder = Encoder(tokenizer, style="chat")
    data = PairedDataset(
        {side: [encoder(Pair(f"{i}", q, a), a) for i, (q, a) in enumerate(own)] for side, own in rows.items()}
    )

    def measured() -> Values:
        with tempfile.TemporaryDirectory() as folder:
            own = {"folder": folder, "batch_size": ROWS, "rate": RATE, "steps": STEPS}
            return _trained(trainer(model, METHODS[subject], data, tokenizer, **own))

    return measured


def npo_theirs(rows: Rows, clone: str) -> Callable[[], Values]:
    sys.path.insert(0, f"{clone}/src")
    _without_deepspeed()
    from data import QADataset
    from data.collators import DataCollatorForSupervisedDataset
    from trainer.unlearn.npo import NPO

    class OnTransformers5(NPO):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: object) -> Any:
            return super().compute_loss(model, inputs, return_outputs)

    model, tokenizer = load()
    tokenizer.apply_chat_template = functools.partial(tokenizer.apply_chat_template, return_dict=False)
    sides = {}
    for side, own in rows.items():
        path = _written([{"question": q, "answer": a} for q, a in own], "rows.jsonl")
        arguments = {"path": "json", "data_files": str(path), "split": "train"}
        sides[side] = QADataset(arguments, {"apply_chat_template": True}, tokenizer)
    pairs = [{side: dataset[i] for side, dataset in sides.items()} for i in range(ROWS)]
    collator = DataCollatorForSupervisedDataset(tokenizer)

    def measured() -> Values:
        with tempfile.TemporaryDirectory() as folder:
            return _trained(
                OnTransformers5(
                    model=model, args=_arguments(folder), train_dataset=pairs, data_collator=collator, beta=0.1
                )
            )

    return measured


def relearn_theirs(rows: Rows, clone: str) -> Callable[[], Values]:
    sys.path.insert(0, f"{clone}/baselines")
    _without_deepspeed()
    from src.dataset import ForgetRetainDataset, QADataset
    from src.iterative_trainer import IterativeUnlearner

    class OnOneDevice(IterativeUnlearner):
        def e_prepare_deepspeed(self, model: Any) -> Any:
            return model.requires_grad_(False).eval()

    model, tokenizer = load()
    tags = {"question_start_tag": "<|im_start|>user\n", "question_end_tag": "<|im_end|><|im_start|>assistant\n"}
    sides = [
        QADataset(
            str(_written([{"text": q, "labels": a} for q, a in rows[side]], "rows.json")), tokenizer, MAX_LENGTH,
            model_cfg=tags,
        )
        for side in ("forget", "retain")
    ]  # fmt: skip
    data = ForgetRetainDataset(*sides)

    def measured() -> Values:
        with tempfile.TemporaryDirectory() as folder:
            return _trained(
                OnOneDevice(
                    model=model, args=_arguments(folder), train_dataset=data, data_collator=data.get_collate_fn(),
                    loss_type="relearn_gdr",
                )
            )  # fmt: skip

    return measured


def _without_deepspeed() -> None:
    """Let `import deepspeed` succeed where transformers has seen already that it is not installed."""
    import transformers.integrations  # noqa: F401

    sys.modules["deepspeed"] = ModuleType("deepspeed")
    sys.modules["deepspeed"].__spec__ = ModuleSpec("deepspeed", None)


def _arguments(folder: str) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=folder, per_device_train_batch_size=ROWS, max_steps=STEPS, learning_rate=RATE, weight_decay=0.0,
        lr_scheduler_type="constant", max_grad_norm=1.0, logging_steps=1, save_strategy="no", report_to="none",
        remove_unused_columns=False, use_cpu=True, disable_tqdm=True,
    )  # fmt: skip


def _trained(made: Any) -> Values:
    """The loss of each step, and the CPU seconds from the end of one to the end of the next."""
    from transformers import TrainerCallback

    ends = [time.process_time()]

    class Clock(TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            ends.append(time.process_time())

    made.add_callback(Clock())
    made.train()
    losses = [entry["loss"] for entry in made.state.log_history if "loss" in entry]
    return {"loss": losses, "step_seconds": [after - before for before, after in itertools.pairwise(ends)]}


def _written(rows: Sequence[dict[str, str]], name: str) -> Path:
    path = Path(tempfile.mkdtemp()) / name
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows), encoding="utf-8")
    return path
