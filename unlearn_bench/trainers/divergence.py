"""When training has gone wrong, and what is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from torch import nn

from unlearn_bench.errors import UserError


class Diverged(UserError):
    """Training was stopped before a bad step reached the weights."""


@dataclass
class Divergence:
    """What counts as divergence, what to do then, and how often it happened.

    Attributes:
        action: "stop" raises `Diverged`; "continue" leaves out steps whose gradient is not finite and goes on, since a
            collapsed model is worth scoring.
        max_loss: Size of a term, in nats, above which it counts as diverged.
        skipped: Steps that were left out.
        first: The first step that was bad, None for none.
    """

    action: Literal["stop", "continue"] = "stop"
    max_loss: float = 1e4
    skipped: int = 0
    first: int | None = None
    events: list[str] = field(default_factory=list)

    def check_terms(self, terms: Mapping[str, float], step: int, output_dir: str) -> None:
        """Look at the values of a step's terms.

        Raises:
            Diverged: if one is not finite, or too large, and the action is "stop".
        """
        bad = {name: value for name, value in terms.items() if not isfinite(value) or abs(value) > self.max_loss}
        if bad:
            said = ", ".join(f"{name} = {value:.4g}" for name, value in bad.items())
            self._handle(f"step {step}: {said}", step, output_dir)

    def skip(self, step: int, output_dir: str) -> None:
        """Record a step whose gradient is not finite and which is left out.

        Raises:
            Diverged: if the action is "stop".
        """
        self._handle(f"step {step}: the gradient is not finite", step, output_dir)
        self.skipped += 1

    def _handle(self, what: str, step: int, output_dir: str) -> None:
        if self.first is None:
            self.first = step
        if self.action == "stop":
            raise Diverged(f"training diverged at {what}", hint=_advice(output_dir))
        if len(self.events) < 20:
            self.events.append(what)


def _advice(output_dir: str) -> str:
    steps = sorted(Path(output_dir).glob("checkpoint-*"), key=lambda p: int(p.name.rsplit("-", 1)[1]))
    kept = f"last good checkpoint: {steps[-1]}" if steps else "no checkpoint saved yet: the start is the last good one"
    return f"{kept}; lower --learning-rate, or pass --on-divergence continue to train on and score the collapse"


def gradients_finite(model: nn.Module, accelerator: Accelerator) -> bool:
    """Whether all gradients are finite, on every process."""
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    if not norms:
        return True
    norms = [n.full_tensor() if hasattr(n, "full_tensor") else n for n in norms]
    bad = (~torch.isfinite(torch.stack([n.float() for n in norms]))).any().float()
    return not bool(accelerator.reduce(bad, reduction="sum"))
