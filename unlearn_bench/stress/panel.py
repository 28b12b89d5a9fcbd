"""From names of panels, stresses and variants to what is done."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from unlearn_bench.registry import did_you_mean
from unlearn_bench.stress import STRESSES
from unlearn_bench.stress.base import Stress

PANELS = ("quick", "full")


@dataclass(frozen=True)
class Exam:
    """One variant of a stress; `name` is "quantization/nf4"."""

    stress_name: str
    variant: str
    stress: Stress

    @property
    def name(self) -> str:
        """Stress and variant."""
        return f"{self.stress_name}/{self.variant}"

    @property
    def prepared(self) -> str:
        """Name of what is prepared once for this exam and its neighbours."""
        return f"{self.stress_name}/{self.stress.prepared(self.variant)}"

    @property
    def passes(self) -> int:
        """How often each question is asked, about; a training counts as some."""
        return self.stress.passes.get(self.variant, 1)


def exams(names: Iterable[str]) -> list[Exam]:
    """What is done, each once, in the order of stresses and variants.

    Args:
        names: "quick", "full", stresses ("quantization"), variants ("quantization/nf4", or "nf4" alone).

    Raises:
        UserError: for an unknown name; names the nearest.
    """
    every = {exam.name: exam for name in STRESSES.names() for exam in _of(name)}
    wanted = {exam for name in names for exam in _named(name, every)}
    return [exam for name, exam in every.items() if name in wanted]


def _of(name: str) -> Iterator[Exam]:
    stress = STRESSES.get(name)
    assert isinstance(stress, Stress)
    return (Exam(name, variant, stress) for variant in stress.variants)


def _named(name: str, every: dict[str, Exam]) -> list[str]:
    if name == "quick":
        return [key for key, exam in every.items() if exam.variant in exam.stress.quick]
    if name == "full":
        return [key for key, exam in every.items() if exam.variant in (exam.stress.full or exam.stress.variants)]
    found = [key for key, exam in every.items() if name in (key, exam.stress_name, exam.variant)]
    if not found:
        known = {*PANELS, *every, *(part for exam in every.values() for part in (exam.stress_name, exam.variant))}
        raise did_you_mean("stress", name, known)
    return found
