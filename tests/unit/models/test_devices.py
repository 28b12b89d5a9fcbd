"""Devices by name: what is not there is one clear line."""

import pytest
import torch

from unlearn_bench.errors import UserError
from unlearn_bench.models.devices import choose_device, choose_scorer_device


def test_the_cpu_is_there_and_is_taken_where_nothing_else_is(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(None) == choose_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(None) == "cuda"


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "torch sees no CUDA device"),
        ("cuda:3", "torch sees no CUDA device"),
        ("gpu", "torch knows no such device"),
        ("cpu:x", "torch knows no such device"),
        ("xpu", "no such device on this machine"),
        ("hpu", "no such device on this machine"),  # torch imports a package that is not there
        ("meta", "nothing can be computed there"),
    ],
)
def test_what_is_not_there_is_refused(monkeypatch, device: str, message: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=f"--device {device}: {message}|--device {device}.*{message}"):
        choose_device(device)


def test_a_device_beyond_the_last_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == "cuda:1"
    with pytest.raises(UserError, match="--scorer-device cuda:2: torch sees 2 CUDA devices"):
        choose_scorer_device("cuda:2")
