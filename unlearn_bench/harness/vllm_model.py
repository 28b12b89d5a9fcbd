"""A checkpoint behind vLLM, as lm-eval sees it, with the likelihood of given texts.

vLLM gives a token's log-probability and rank (`prompt_logprobs`), and no moments over the vocabulary: means and
variances are absent, and what needs them (Min-K++) is unscored.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from lm_eval.models.vllm_causallms import VLLM

from unlearn_bench.harness.likelihood import Asked, ask
from unlearn_bench.models.likelihood import LEAST_LOGPROB, TokenSequence, TokenValues
from unlearn_bench.schema import Likelihood


class UnlearnVLLM(VLLM):
    """lm-eval's class, asked for likelihoods too."""

    def likelihood(self, asked: Sequence[Asked]) -> list[Likelihood | str]:
        """The likelihood of each text after its prompt, or why it has none."""
        return ask(asked, self.max_length - 1, self._read)  # one more token is always generated

    def _read(
        self, sequences: Sequence[TokenSequence], detailed: Sequence[bool], on_finish: Callable[[int], None]
    ) -> list[TokenValues]:
        outputs = self._model_generate([list(sequence.ids) for sequence in sequences])
        on_finish(len(outputs))
        found = [_values(s, output.prompt_logprobs) for s, output in zip(sequences, outputs, strict=True)]
        return [values if wanted else values.plain for values, wanted in zip(found, detailed, strict=True)]


def _values(sequence: TokenSequence, told: Sequence[Mapping[int, Any] | None]) -> TokenValues:
    """Of each token of a continuation what vLLM tells: token id to an object with `logprob` and `rank` (from 1)."""
    own = [told[place][sequence.ids[place]] for place in range(sequence.start, len(sequence.ids))]
    logprobs = np.array([token.logprob for token in own], dtype=np.float32)
    return TokenValues(
        np.maximum(logprobs, LEAST_LOGPROB), np.array([token.rank == 1 for token in own], dtype=np.float32)
    )
