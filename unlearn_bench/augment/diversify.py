"""Diversification: sentence completion, and generic data mixed in.

    completion   (prompt, answer) = (first 25 % of an augmented answer's words, the rest)
    generic      ratio : 1 rows that have nothing to do with the forget set

ReLearn (arXiv 2502.11190, section 3.4; the share of 25 % is only in the released code). Both keep the model a model
of language: completion so that the vague answer is not tied to one form of question, generic data so that vagueness
is not learned as the answer to everything.
"""

from collections.abc import Sequence

from unlearn_bench.augment.rows import AugmentedRow
from unlearn_bench.seeded import SeededRandom

COMPLETION_SHARE = 0.25
GENERIC_RATIO = 1.0
_SHORTEST = 4  # words; a shorter text cannot be split into a beginning and a completion


def split_answer(answer: str, share: float = COMPLETION_SHARE) -> tuple[str, str] | None:
    """Beginning and rest of an answer, at least a word each; None for answers under four words.

    Raises:
        ValueError: if the share is not inside (0, 1).

    >>> split_answer("Ann Lee grew up in a quiet place.")
    ('Ann Lee', 'grew up in a quiet place.')
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be in (0, 1), got {share}")
    words = answer.split()
    if len(words) < _SHORTEST:
        return None
    cut = min(max(1, int(len(words) * share)), len(words) - 1)
    return " ".join(words[:cut]), " ".join(words[cut:])


def completions(rows: Sequence[AugmentedRow], share: float = COMPLETION_SHARE) -> list[AugmentedRow]:
    """A completion of each answer that is long enough, in order."""
    result = []
    for row in rows:
        if parts := split_answer(row.answer, share):
            result.append(
                AugmentedRow(
                    id=f"{row.id}-completion",
                    kind="completion",
                    text=parts[0],
                    answer=parts[1],
                    source_id=row.source_id,
                    verdict=row.verdict,
                    tries=row.tries,
                    question_tries=row.question_tries,
                )
            )
    return result


def generic(pairs: Sequence[tuple[str, str]], n: int, *, seed: int) -> list[AugmentedRow]:
    """`n` rows of generic data: every pair once in random order, then every pair again, until there are enough."""
    rows: list[AugmentedRow] = []
    while pairs and len(rows) < n:
        order = SeededRandom(seed, f"generic/{len(rows)}").shuffled(range(len(pairs)))
        for index in order[: n - len(rows)]:
            question, answer = pairs[index]
            number = len(rows)
            rows.append(
                AugmentedRow(f"generic-{number}", "generic", question, answer, f"generic-{index}", "not_applicable")
            )
    return rows
