"""unlearn-bench: did the checkpoint forget, did it retain, does it still speak?

    evaluate(model, tasks) -> Evaluation    ask a checkpoint, or a model in memory, and score its answers
    score(rows) -> Evaluation               score answers that were made elsewhere
    compare(a, b) -> CompareReport          paired differences between results
    load_result(path) -> Evaluation         read a result of `run` or `score`, or an entry of a leaderboard

Nothing is imported until one of these names is used.
"""

from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError

__version__ = "0.2.0.dev0"
__all__ = ["CompareReport", "Evaluation", "UserError", "__version__", "compare", "evaluate", "load_result", "score"]

if TYPE_CHECKING:
    from unlearn_bench.api import CompareReport, Evaluation, compare, evaluate, load_result, score
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from unlearn_bench import api

        return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
