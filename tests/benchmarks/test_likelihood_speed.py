"""Likelihoods in TOFU's shape on SmolLM2: this project against a loop as open-unlearning's evaluator has it.

Seven texts a question (the answer, its paraphrase, five wrong ones). The loop reads every text anew for each metric
that wants it, in batches of 32 in the order of the rows, padded to the longest, all logits in float32. CPU seconds of
this process, so that other work on the machine counts less; for figures run it alone.
"""

import time

import pytest

torch = pytest.importorskip("torch")

from unlearn_bench import data  # noqa: E402
from unlearn_bench.models import subject  # noqa: E402
from unlearn_bench.models.likelihood import TeacherForcing, TokenSequence  # noqa: E402
from unlearn_bench.tokens import Prompts  # noqa: E402

pytestmark = pytest.mark.benchmark
QUESTIONS, BATCH = 32, 32
READINGS = {"answer": 7, "paraphrased": 1, "perturbed": 1}  # probability, ES, EM, loss, zlib, Min-K, Min-K++: apart


@pytest.fixture(scope="module")
def suite(shared_data):
    torch.set_num_threads(1)
    model, tokenizer = subject.load_subject("smollm2-135m", device="cpu", dtype="float32")
    prompts = Prompts(tokenizer, "chat")
    kinds: dict[str, list[TokenSequence]] = {name: [] for name in READINGS}
    for row in data.load("tofu", "forget10", data_dir=str(shared_data)).rows[:QUESTIONS]:
        prompt = prompts.prompt(row.question)
        texts = {"answer": [row.answer], "paraphrased": [row.paraphrased_answer], "perturbed": row.perturbed_answers}
        for kind, own in texts.items():
            joined = [prompts.continued(prompt, text) for text in own]
            kinds[kind] += [TokenSequence(tuple(one.ids), one.start) for one in joined]
    return model, kinds


def plain_loop(model, sequences):
    """Mean log-probability of each continuation; what open-unlearning's `evaluate_probability` does."""
    found = []
    for first in range(0, len(sequences), BATCH):
        batch = sequences[first : first + BATCH]
        width = max(len(s.ids) for s in batch)
        ids = torch.tensor([list(s.ids) + [0] * (width - len(s.ids)) for s in batch])
        mask = torch.tensor([[1] * len(s.ids) + [0] * (width - len(s.ids)) for s in batch])
        labels = torch.tensor(
            [[-100] * s.start + list(s.ids[s.start :]) + [-100] * (width - len(s.ids)) for s in batch]
        )
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask).logits.float()
        # on transposed logits, as open-unlearning has it, torch's float32 sum over the vocabulary is off by 1e-4
        flat = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="none"
        )
        losses = flat.view(len(batch), -1)
        found += (-losses.sum(-1) / (labels[:, 1:] != -100).sum(-1)).tolist()
    return found


def matrix_rate():
    """Multiplications and additions a second of one core, on matrices of the model's size."""
    a, b = torch.randn(384, 576), torch.randn(576, 1536)
    a @ b
    start = time.process_time()
    for _ in range(50):
        a @ b
    return 50 * 2 * a.numel() * b.shape[1] / (time.process_time() - start)


def test_against_open_unlearnings_way(suite):
    model, kinds = suite
    everything = [s for own in kinds.values() for s in own]
    forced = TeacherForcing(model)
    assert forced._packs
    start = time.process_time()
    values = forced(everything, [s in set(kinds["answer"]) for s in everything])
    ours = time.process_time() - start
    seconds = {}
    theirs: list[float] = []
    for kind, own in kinds.items():
        start = time.process_time()
        theirs += plain_loop(model, own)
        seconds[kind] = time.process_time() - start
    peer = sum(READINGS[kind] * seconds[kind] for kind in kinds)
    for mine, other in zip(values, theirs, strict=True):
        assert mine.logprobs.mean() == pytest.approx(other, abs=1e-4)
    nodes = len({s.ids[:n] for s in everything for n in range(1, len(s.ids) + 1)})
    heads = len({s.ids[:n] for s in everything for n in range(s.start, len(s.ids))})
    vocabulary, width = model.get_output_embeddings().weight.shape
    body = sum(p.numel() for p in model.parameters()) - vocabulary * width
    ideal = 2 * (body * nodes + vocabulary * width * heads) / matrix_rate()
    print(f"\n{sum(len(s.ids) for s in everything)} tokens, {nodes} of them distinct, {heads} places that predict")
    print(f"ours {ours:.1f} s, {nodes / ours:.0f} distinct tokens a second, {ideal / ours:.0%} of the ideal")
    print(f"the loop, each text once {sum(seconds.values()):.1f} s, as often as its metrics ask {peer:.1f} s")
    print(f"{sum(seconds.values()) / ours:.1f} and {peer / ours:.1f} times ours")
    assert peer > 3 * ours
