"""Scoring answers beside the released ReLearn evaluator: the same answers, entities and models, in blocks for a spread.

Two of its parts cannot be had here. Its entities come from a chat model: both sides are given the same ones, made by
rules beforehand. Its NLI model is replaced, on both sides, by one of the same shape (DeBERTa-v3-base) with random
weights. Embeddings are MiniLM-L6's, perplexity SmolLM2's.
"""

import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.benchmarks.peers_worker import MODEL, Values, load

LOG = "logs/tofu_llama2-7b_retain90.json"
BLOCKS = 4
EMBEDDER = "minilm-l6"


def items_of(data_dir: str, count: int) -> list[dict[str, Any]]:
    """Question, reference, response and the entities of both of the first answers of a published log."""
    from unlearn_bench import formats
    from unlearn_bench.evidence.entities import RulesExtractor

    answers = [r for r in formats.read(Path(data_dir) / LOG).responses if r.role == "forget"][:count]
    found = RulesExtractor()([text for r in answers for text in (r.reference or "", r.response)])
    plain = [[name for name in dict.fromkeys(own) if "," not in name] for own in found]  # theirs are split at commas
    return [
        {"id": r.id, "question": r.question, "reference": r.reference, "response": r.response,
         "entities": (plain[2 * i], plain[2 * i + 1])}
        for i, r in enumerate(answers)
    ]  # fmt: skip


def nli_folder() -> Path:
    """A classifier of DeBERTa-v3-base's shape with random weights, the same ones in every process."""
    import torch
    from transformers import AutoTokenizer, DebertaV2Config, DebertaV2ForSequenceClassification

    from unlearn_bench.models.nli import LABELS
    from unlearn_bench.models.packaged import packaged_path

    tokenizer = AutoTokenizer.from_pretrained(packaged_path(EMBEDDER))
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=len(tokenizer), hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=3072, relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], max_relative_positions=-1, position_biased_input=False,
        type_vocab_size=0, pooler_hidden_size=768, pooler_hidden_act="gelu", id2label=dict(enumerate(LABELS)),
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp())
    DebertaV2ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _in_blocks(items: Sequence[dict[str, Any]], score: Callable[[Sequence[dict[str, Any]]], Values]) -> Values:
    size, found = -(-len(items) // BLOCKS), Values()
    for start in range(0, len(items), size):
        begin = time.process_time()
        values = score(items[start : start + size])
        values["block_seconds"] = [time.process_time() - begin]
        for name, own in values.items():
            found.setdefault(name, []).extend(own)
    return found


def ours(items: Sequence[dict[str, Any]]) -> Callable[[], Values]:
    from unlearn_bench.evidence.parts import make_parts
    from unlearn_bench.evidence.pipeline import RELEASED, aggregate, score_responses
    from unlearn_bench.evidence.settings import Settings
    from unlearn_bench.schema import Given, Response

    names = ("kfr", "linguistic_score", "root_ttr", "rouge")
    settings = Settings(
        entities="given", embedder=EMBEDDER, nli=str(nli_folder()), agreement="none", ppl_model=MODEL,
        ppl_prompt="released",
    )  # fmt: skip
    parts = make_parts(settings, judges_wording=False)

    def response(item: dict[str, Any]) -> Response:
        reference, said = item["entities"]
        return Response(
            task="peers", role="forget", given=Given(entities_reference=reference, entities_response=said),
            **{key: item[key] for key in ("id", "question", "reference", "response")},
        )  # fmt: skip

    def score(block: Sequence[dict[str, Any]]) -> Values:
        samples = score_responses([response(item) for item in block], names, parts, RELEASED)
        told = aggregate(samples, names, RELEASED)
        of = lambda name: [sample.scores[name] for sample in samples]  # noqa: E731
        return {
            "coverage": [float(sample.coverage or 0.0) for sample in samples],
            "nli_probability": [float(sample.nli_probability or 0.0) for sample in samples],
            **{name: of(name) for name in ("kfr", "perplexity", "root_ttr", "brunet_index", "rougeL_recall")},
            "honore_statistic": of("honore_statistic"),
            "ls": [told["ls"].value],
        }

    score(items[:2])  # loads the models
    return lambda: _in_blocks(items, score)


def theirs(items: Sequence[dict[str, Any]], clone: str) -> Callable[[], Values]:
    from sentence_transformers import SentenceTransformer
    from transformers import pipeline

    from unlearn_bench.models.packaged import packaged_path
    from unlearn_bench.text import tokenize

    entities = {side: {} for side in ("response", "reference")}
    for item in items:
        for side, own in zip(("reference", "response"), item["entities"], strict=True):
            entities[side][item["question"], item[side]] = ", ".join(own)
    released = _released(clone, {key: told for own in entities.values() for key, told in own.items()})
    released.word_tokenize = tokenize.words  # the same tokens, without NLTK's data file
    released.tqdm = lambda some, **_: some
    model, tokenizer = load()
    pipe = pipeline("text-classification", model=str(nli_folder()), device=-1)
    embedder = SentenceTransformer(str(packaged_path(EMBEDDER)), device="cpu")
    encode, embedder.encode = embedder.encode, lambda some, **more: encode(some, show_progress_bar=False, **more)

    def score(block: Sequence[dict[str, Any]]) -> Values:
        questions, references, responses = ([i[key] for i in block] for key in ("question", "reference", "response"))
        _, _, rouge, told = released.compute_kfr(questions, responses, references, embedder, None, 0.3, pipe)
        ppl, _, brunet, honore, spoken = released.compute_as(questions, responses, model, tokenizer)
        return {
            "coverage": [float(one["entity_score"]) for one in told],
            "nli_probability": [one["ent_score"] for one in told],
            "kfr": [float(one["forget_label"]) for one in told],
            "perplexity": [one["ppl"] for one in spoken],
            "root_ttr": [one["ttr"] for one in spoken],
            "brunet_index": [one["BI"] for one in spoken],
            "honore_statistic": [float(one["HS"]) for one in spoken],
            "rougeL_recall": [one["rLr"] for one in rouge],
            "ls": [float(released.as_mean(ppl, brunet, honore)[0])],
        }

    score(items[:2])
    return lambda: _in_blocks(items, score)


def _released(clone: str, entities: dict[tuple[str, str], str]) -> Any:
    """The evaluator's module; its chat model answers with the given entities."""
    for name, folder in (("released", clone), ("released.evals", f"{clone}/evals")):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [folder]
    asked: dict[str, str] = {}
    chat: Any = ModuleType("released.dataAugment.utils")
    chat.llm_api = lambda prompt, _: asked[prompt]
    sys.modules["released.dataAugment"] = ModuleType("released.dataAugment")
    sys.modules[chat.__name__] = chat
    module = importlib.import_module("released.evals.evaluate")
    for (question, text), told in entities.items():
        asked[module.prompt_template.format(query=question, response=text)] = told
    return module
