"""The cache that grows in place holds what `DynamicCache` holds, and copies the past rarely."""

import torch
from transformers import DynamicCache

from unlearn_bench.models._roomy_cache import SPARE, roomy_cache


def _columns(n: int, *, rows: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, 3, n, 4, generator=torch.Generator().manual_seed(seed))


def test_it_holds_what_was_written() -> None:
    plain, roomy = DynamicCache(), roomy_cache()
    for step, n in enumerate([5, 1, 1, SPARE, 1, 3]):
        keys, values = _columns(n, seed=step), _columns(n, seed=-step)
        expected = plain.update(keys, values, 0)
        found = roomy.update(keys, values, 0)
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
        assert roomy.get_seq_length() == plain.get_seq_length()


def test_a_step_is_written_in_place() -> None:
    cache = roomy_cache()
    cache.update(_columns(5), _columns(5), 0)
    places = set()
    for _ in range(SPARE):
        keys, _ = cache.update(_columns(1), _columns(1), 0)
        places.add(keys.data_ptr())
    assert len(places) == 1
    assert cache.update(_columns(1), _columns(1), 0)[0].data_ptr() not in places


def test_rows_and_columns_may_be_taken_out_between_steps() -> None:
    cache = roomy_cache()
    past, new = _columns(5), _columns(1, rows=1, seed=1)
    cache.update(past, past, 0)
    layer = cache.layers[0]
    layer.keys, layer.values = layer.keys[[1]][:, :, 2:], layer.values[[1]][:, :, 2:]
    keys, values = cache.update(new, new, 0)
    assert torch.equal(keys, torch.cat([past[[1]][:, :, 2:], new], dim=-2))
    assert torch.equal(values, keys)
    assert torch.equal(past, _columns(5))
