"""The cache that grows in place holds what `DynamicCache` holds, and copies the past rarely."""

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

from unlearn_bench.models._roomy_cache import SPARE, places_of, roomy_cache


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


def test_dropped_and_added_rows_change_places_in_the_buffer() -> None:
    """Against the same steps on plain tensors; what a dropped row leaves behind may be NaN and must not be seen."""
    cache, expected = roomy_cache(), _columns(6, rows=4)
    expected[1] = torch.nan
    cache.update(expected, expected, 0)
    layer = cache.layers[0]
    for kept, start, new in (([0, 2, 3], 0, 5), ([1, 2], 2, 4), ([0, 1, 2], 0, 9), ([2], 3, 70)):
        order = places_of(kept, len(expected))
        assert sorted(order) == kept
        layer.keep(order, start)
        expected = expected[order][:, :, start:]
        assert torch.equal(layer.keys, expected)
        other, width = roomy_cache(), max(new, expected.shape[-2])
        rows = _columns(new, rows=2, seed=new)
        other.update(rows, rows, 0)
        layer.join(other.layers[0])
        expected = torch.cat([pad(states, (0, 0, width - states.shape[-2], 0)) for states in (expected, rows)])
        assert torch.equal(layer.keys, expected)
        assert torch.equal(layer.values, expected)
        step = _columns(1, rows=len(expected), seed=-new)
        expected = torch.cat([expected, step], dim=-2)
        assert torch.equal(cache.update(step, step, 0)[0], expected)
