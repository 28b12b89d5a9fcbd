"""TruthfulQA's six worked examples (Lin et al., arXiv 2109.07958), as lm-evaluation-harness ships them."""

import importlib.util
import re
from functools import cache
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.files import read_yaml

_TASK = Path("tasks/truthfulqa/truthfulqa_mc1.yaml")
_PROMPT = re.compile(r"prompt_qa\s*=\s*'(.*?)'", re.DOTALL)


@cache
def examples() -> str:
    """The examples as one text: "Q: …" and "A: …" in turn, an empty line between pairs.

    Raises:
        UserError: if lm-eval is not installed, or has them no more.
    """
    spec = importlib.util.find_spec("lm_eval")
    folders = list(spec.submodule_search_locations or []) if spec else []
    file = next((Path(folder) / _TASK for folder in folders if (Path(folder) / _TASK).is_file()), None)
    found = None
    if file is not None:
        asked = read_yaml(file.read_text(encoding="utf-8")).get("doc_to_text", "")
        found = _PROMPT.search(str(asked))
    if found is None:
        raise UserError("TruthfulQA's examples are not in the installed lm_eval", hint="pip install 'lm_eval>=0.4.13'")
    return found[1].strip()
