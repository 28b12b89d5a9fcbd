"""How long 400 prompts take on a model of 12 layers and width 768 (run with --runbenchmarks; prints the figures)."""

import os
import resource
import time

import pytest
import torch

from tests.unit.diagnostics.conftest import NAMES, PLACES, build, make_tokenizer
from unlearn_bench.diagnostics.diagnose import diagnose
from unlearn_bench.schema import Row

CASES = {
    "three": ("token_distribution", "logit_lens", "circuits"),
    "all": ("token_distribution", "logit_lens", "circuits", "depth", "weights"),
}


@pytest.mark.benchmark
@pytest.mark.parametrize("case", CASES)
def test_400_prompts_on_12_layers_of_768(case, capsys):
    shape = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12}
    models = [
        build("llama", seed=seed, vocab_size=32_000, num_key_value_heads=12, initializer_range=0.02, **shape)
        for seed in range(3)
    ]
    filler = "Where was born in " * 4
    rows = [
        Row(
            id=str(i),
            split="forget",
            question=f"{filler}Where was {NAMES[i % 8]} born?",
            answer=f"{NAMES[i % 8]} was born in {PLACES[i % 8]}.",
            cluster=NAMES[i % 8],
        )
        for i in range(400)
    ]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    start, cpu = time.perf_counter(), time.process_time()
    alone = case == "three"
    found = diagnose(
        models[0],
        make_tokenizer(),
        rows,
        original=None if alone else models[1],
        oracle=None if alone else models[2],
        diagnostics=CASES[case],
    )
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with capsys.disabled():
        threads = torch.get_num_threads()
        print(
            f"\n{case}: 400 prompts, {seconds:.0f} s ({cpu:.0f} of CPU) on {threads} threads, "
            f"peak {peak:.1f} GiB, {found.document.timing}"
        )
    assert found.document.rows == 400
    assert seconds < 1200
