"""What our hooks read and patch, held against nnsight: an independent library, which shares no code with them."""

import pytest
import torch

from tests.unit.diagnostics.conftest import build
from unlearn_bench.diagnostics import _hooks, depth, logit_lens
from unlearn_bench.diagnostics._prompts import batches, encode_all

nnsight = pytest.importorskip("nnsight", reason="nnsight is not installed (pip install 'unlearn-bench[dev]')")

# One block after the other; soft-capped logits and scaled embeddings; attention and MLP in parallel.
ARCHITECTURES = ("llama", "gemma2", "gpt_neox")
PARTS = {"gpt_neox": ("gpt_neox", "final_layer_norm")}


@pytest.fixture(params=ARCHITECTURES)
def architecture(request):
    return request.param


@pytest.fixture
def batch(tokenizer, rows):
    # two places in an answer, so that the entity has two tokens
    longer = rows[1].model_copy(update={"answer": f"{rows[1].answer[:-1]} Varga."})
    return batches(encode_all([longer], tokenizer)[0], tokenizer, torch.device("cpu"), 1)[0]


class Wrapped:
    """A model in nnsight's hands."""

    def __init__(self, model, architecture):
        body, norm = PARTS.get(architecture, ("model", "norm"))
        self.model = nnsight.NNsight(model)
        self.layers, self.norm = getattr(self.model, body).layers, getattr(getattr(self.model, body), norm)
        self.cap = getattr(model.config, "final_logit_softcapping", None)

    def states(self, ids):
        with torch.no_grad(), self.model.trace(input_ids=ids):
            states = nnsight.save([layer.output[0] for layer in self.layers])
        return list(states)

    def lens(self, ids):
        """Log-probabilities of every block, (blocks, tokens, V)."""
        with torch.no_grad(), self.model.trace(input_ids=ids):
            found = nnsight.save([self.model.lm_head(self.norm(layer.output))[0] for layer in self.layers])
        logits = torch.stack(found).float()
        return (logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)).log_softmax(-1)

    def log_probability(self, ids, span, level=None, states=None):
        """Mean log-probability of a span, with one block's states replaced where the span is predicted."""
        where = [i - 1 for i in span]
        with torch.no_grad(), self.model.trace(input_ids=ids):
            if level is not None:
                self.layers[level].output[0, where] = states[where]
            logits = nnsight.save(self.model.output.logits)
        return logits[0, where].log_softmax(-1).gather(-1, ids[0, list(span)][:, None]).mean().item()


def test_hidden_states(architecture, batch):
    model = build(architecture)
    count = batch.ids.shape[1]
    where = (torch.zeros(count, dtype=torch.long), torch.arange(count))
    ours = _hooks.record(_hooks.find_decoder(model), batch.ids, batch.mask, where).hidden[1:]
    theirs = Wrapped(model, architecture).states(batch.ids)
    assert len(ours) == len(theirs) == 3
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=0)


def test_logit_lens(architecture, batch):
    model = build(architecture)
    decoder, tokens = _hooks.find_decoder(model), [batch.prompts[0].asked]
    gold, where = batch.targets(tokens), batch.where(tokens)
    lens = logit_lens.measure(
        _hooks.record(decoder, batch.ids, batch.mask, where).hidden, gold, decoder.unembed, top_k=5
    )
    log_p = Wrapped(model, architecture).lens(batch.ids)[:, where[1]]
    own = log_p.gather(-1, gold.expand(3, -1)[..., None])
    kl = torch.nn.functional.kl_div(log_p, log_p[-1].expand_as(log_p), reduction="none", log_target=True).sum(-1)
    assert lens.probability[:, 1:] == pytest.approx(own[..., 0].exp().T.numpy(), abs=1e-5)
    assert lens.kl[:, 1:] == pytest.approx(kl.T.numpy(), abs=1e-5)
    assert lens.rank[:, 1:].tolist() == ((log_p > own).sum(-1) + 1).T.tolist()


def test_patched_log_probability(architecture, batch):
    original, judged, retain = (build(architecture, seed=seed) for seed in range(3))
    losses = depth.measure(*map(_hooks.find_decoder, (original, judged, retain)), batch)
    span, ids, patched = range(*batch.prompts[0].entity), batch.ids, Wrapped(original, architecture)
    assert len(span) == 2
    before = patched.log_probability(ids, span)
    for ours, source in ((losses.d1, retain), (losses.d2, judged)):
        states = Wrapped(source, architecture).states(ids)
        theirs = [before - patched.log_probability(ids, span, level, states[level]) for level in range(3)]
        assert ours[0] == pytest.approx(theirs, abs=1e-5)
