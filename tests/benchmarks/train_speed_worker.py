"""One side of the training benchmark, in a process of its own: `plain` or `ours`, `full` or `lora`. Prints JSON.

Both sides minimise relearn+gdr+klr on the same random 50M-parameter Llama with the same pairs in the same steps.
`plain` is what public code does: a second copy of the model as reference, every row padded to 512, logits of every
position.
"""

import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from tests.benchmarks.training import trainer
from unlearn_bench.trainers._batches import PairedDataset, StepSampler
from unlearn_bench.trainers._data import Encoded

VOCABULARY, BATCH, PADDED = 32_000, 2, 512
RATE = 1e-4


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=PADDED,
        pad_token_id=0,
        use_cache=False,
    )
    return LlamaForCausalLM(config)


def with_adapter(model: LlamaForCausalLM) -> torch.nn.Module:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules=names))


def make_data(rows: int) -> PairedDataset:
    """Pairs as long as TOFU's: questions of 12 to 28 tokens, answers of 20 to 60, about 60 tokens together."""
    rng = np.random.default_rng(0)

    def row() -> Encoded:
        question, answer = int(rng.integers(12, 29)), int(rng.integers(20, 61))
        return Encoded(rng.integers(3, VOCABULARY, question + answer).tolist(), question)

    return PairedDataset({"forget": [row() for _ in range(rows)], "retain": [row() for _ in range(rows)]})


def plain(data: PairedDataset, steps: int, adapter: bool) -> tuple[list[float], float]:
    model, reference = make_model(), make_model().requires_grad_(False).eval()
    if adapter:
        model = with_adapter(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    pairs = list(StepSampler(data, rows_per_step=BATCH, seed=0))
    losses, begin = [], time.process_time()
    for step in range(steps):
        chosen = pairs[step * BATCH : (step + 1) * BATCH]
        f = _padded([data.groups["forget"][i] for i, _ in chosen])
        r = _padded([data.groups["retain"][i] for _, i in chosen])
        loss_f = model(**f).loss
        out = model(**r)
        with torch.no_grad():
            before = F.log_softmax(reference(**r).logits[:, :-1], dim=-1)
        now = F.log_softmax(out.logits[:, :-1], dim=-1)
        mask = r["labels"][:, 1:] != -100
        kl = ((now.exp() * (now - before)).sum(dim=-1) * mask).sum() / mask.sum()
        loss = loss_f + out.loss + kl
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
    return losses, time.process_time() - begin


def _padded(rows: list[Encoded]) -> dict[str, torch.Tensor]:
    ids, labels, mask = (torch.full((len(rows), PADDED), fill) for fill in (0, -100, 0))
    for i, row in enumerate(rows):
        n = len(row.input_ids)
        ids[i, :n], labels[i, :n], mask[i, :n] = torch.tensor(row.input_ids), torch.tensor(row.labels), 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def ours(data: PairedDataset, steps: int, adapter: bool) -> tuple[list[float], float]:
    @dataclass
    class Tokenizer:  # the trainer asks for the padding token only
        pad_token_id: int = 0
        model_input_names: tuple[str, ...] = ("input_ids",)

    model = with_adapter(make_model()) if adapter else make_model()
    with tempfile.TemporaryDirectory() as folder:
        own = {"folder": folder, "batch_size": BATCH, "rate": RATE, "steps": steps}
        made = trainer(model, "relearn", data, Tokenizer(), **own)
        begin = time.process_time()
        made.train()
        seconds = time.process_time() - begin
    return [entry["loss"] for entry in made.state.log_history if "loss" in entry], seconds


def main() -> None:
    side, kind, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    data = make_data(rows=BATCH * max(steps, 2))
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    losses, seconds = {"plain": plain, "ours": ours}[side](data, steps, kind == "lora")
    print(
        json.dumps(
            {
                "losses": losses,
                "seconds": seconds,
                "samples_per_second": steps * BATCH / seconds,
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "imported_mib": imported / 1024,
                "parameters": sum(p.numel() for p in make_model().parameters()),
            }
        )
    )


if __name__ == "__main__":
    main()
