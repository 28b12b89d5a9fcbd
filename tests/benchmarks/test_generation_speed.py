"""Generation beside lm-eval's hf backend: the same real weights, questions and batch size, in one process, in turn.

Both clocks are printed, since other jobs slow the wall clock down; with OMP_NUM_THREADS=1 processor time is near to
what an idle machine takes. UNLEARN_BENCH_ANSWERS=8 makes a quick look.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from unlearn_bench import data
from unlearn_bench.harness.hf_model import UnlearnLM
from unlearn_bench.models import subject

pytestmark = pytest.mark.benchmark

N = int(os.environ.get("UNLEARN_BENCH_ANSWERS", "40"))
SETTINGS = {"until": [], "max_gen_toks": 64, "do_sample": False, "temperature": 0.0}


def _timed(run: Callable[[], list[str]]) -> tuple[float, float, list[str]]:
    """Wall seconds, seconds of the process on all processors, and the answers."""
    wall, processor = time.perf_counter(), time.process_time()
    answers = run()
    return time.perf_counter() - wall, time.process_time() - processor, answers


@pytest.mark.parametrize("batch_size", [8, 32])
def test_as_lm_eval_answers_only_faster(
    batch_size: int, smollm2: str, shared_data: Path, record_property: Callable[[str, object], None]
) -> None:
    model, tokenizer = subject.load(subject.find(smollm2))
    ours = UnlearnLM(model, tokenizer, batch_size=batch_size, alone=True)
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
    rows = data.load("tofu", "forget10", data_dir=str(shared_data)).rows[:N]
    prompts = [ours.prompts.prompt(row.question) for row in rows]

    def requests() -> list[Instance]:
        return [
            Instance(request_type="generate_until", doc={}, arguments=(prompt, dict(SETTINGS)), idx=i)
            for i, prompt in enumerate(prompts)
        ]

    for lm in (ours, theirs):
        lm.generate_until(requests()[:2], disable_tqdm=True)  # first calls allocate
    found = {name: _timed(lambda lm=lm: lm.generate_until(requests(), disable_tqdm=True))
             for name, lm in (("ours", ours), ("lm-eval", theirs))}  # fmt: skip
    figures = {
        "batch": batch_size,
        "answers": N,
        "threads": torch.get_num_threads(),
        **{name: {"wall": round(wall, 1), "processor": round(cpu, 1)} for name, (wall, cpu, _) in found.items()},
        "ratio of wall": round(found["lm-eval"][0] / found["ours"][0], 2),
        "ratio of processor": round(found["lm-eval"][1] / found["ours"][1], 2),
    }
    record_property("figures", figures)
    print(json.dumps(figures))
    assert [text.strip() for text in found["ours"][2]] == [text.strip() for text in found["lm-eval"][2]]
    assert found["ours"][1] < found["lm-eval"][1]
