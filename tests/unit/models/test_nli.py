"""Inference with tiny random models made on the spot, against transformers called one pair at a time."""

import json
import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

from unlearn_bench.errors import UserError
from unlearn_bench.models._batching import length_sorted_batches, run_batches, unique
from unlearn_bench.models.nli import LABELS, NLIClassifier

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [f"w{i}" for i in range(60)]
UPPER = {0: "CONTRADICTION", 1: "Entailment", 2: "neutral"}


def word_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def bert_config(**more: object) -> BertConfig:
    """A BERT of 2 layers that reads at most 48 tokens."""
    return BertConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=48,
        initializer_range=0.5,
        **more,
    )


def make(folder: Path, *, id2label: dict[int, str] | None = None, safetensors: bool = True, head: bool = True) -> Path:
    torch.manual_seed(0)
    labels = {} if id2label is None else {"id2label": id2label}
    model = (BertForSequenceClassification if head else BertModel)(bert_config(num_labels=3, **labels))
    model.save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    if not safetensors:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("nli"), id2label=UPPER)


@pytest.fixture
def pairs() -> list[tuple[str, str]]:
    lengths = [(1, 1), (9, 3), (4, 4), (2, 15), (9, 3), (0, 2), (7, 1), (20, 6)]
    return [
        (" ".join(WORDS[(i + k) % 60] for k in range(a)), " ".join(WORDS[(3 * i + k) % 60] for k in range(b)))
        for i, (a, b) in enumerate(lengths)
    ]


def test_same_as_one_pair_at_a_time(folder: Path, pairs: list[tuple[str, str]]) -> None:
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    predictions = NLIClassifier(str(folder), batch_size=3, device="cpu").predict(pairs)
    for (premise, hypothesis), prediction in zip(pairs, predictions, strict=True):
        with torch.no_grad():
            logits = model(**tokenizer(premise, hypothesis, return_tensors="pt")).logits[0]
        expected = {UPPER[i].lower(): p for i, p in enumerate(logits.softmax(-1).tolist())}
        assert prediction == pytest.approx(expected, abs=1e-6)
        assert sum(prediction.values()) == pytest.approx(1, abs=1e-6)
    # the model is decided enough that an exchange of labels would show
    assert max(abs(p["neutral"] - p["contradiction"]) for p in predictions) > 0.05


def test_premise_and_hypothesis_are_not_exchanged(folder: Path) -> None:
    forth, back = NLIClassifier(str(folder)).predict([("w1 w2", "w3"), ("w3", "w1 w2")])
    assert forth != pytest.approx(back, abs=1e-4)


def test_each_pair_passes_the_model_once(folder: Path, pairs: list[tuple[str, str]]) -> None:
    classifier = NLIClassifier(str(folder), batch_size=4)
    rows: list[tuple[int, int]] = []
    classifier.model.register_forward_pre_hook(
        lambda _m, _a, kwargs: rows.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    predictions = classifier.predict([*pairs, *pairs])
    assert sum(n for n, _ in rows) == len(set(pairs)) == 8
    assert [n for n, _ in rows] == [4, 4]
    assert rows[0][1] > rows[1][1]  # sorted: the short ones are not padded to the longest
    assert predictions[: len(pairs)] == predictions[len(pairs) :]


def test_nothing_in_nothing_out(folder: Path) -> None:
    assert NLIClassifier(str(folder)).predict([]) == []


def test_the_longer_text_is_cut(folder: Path) -> None:
    """48 positions, 3 of them special: a reference of 5 words survives beside an answer of 1,000."""
    classifier = NLIClassifier(str(folder))
    reference, answer = " ".join(WORDS[:5]), [WORDS[i % 60] for i in range(1000)]
    cut, whole = classifier.predict([(" ".join(answer), reference), (" ".join(answer[:40]), reference)])
    assert cut == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize(
    "id2label",
    [
        {0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"},
        {0: "Contradiction", 1: "Neutral", 2: "Entailment"},
        {0: "contradiction", 1: "entailment ", 2: "neutral"},
    ],
)
def test_labels_whatever_their_case(tmp_path: Path, id2label: dict[int, str]) -> None:
    classifier = NLIClassifier(str(make(tmp_path, id2label=id2label)))
    assert classifier.labels == tuple(label.strip().lower() for label in id2label.values())


def test_unrecognisable_labels_are_refused_until_they_are_named(tmp_path: Path, folder: Path) -> None:
    nameless = make(tmp_path / "nameless")  # transformers calls them LABEL_0, LABEL_1, LABEL_2
    with pytest.raises(UserError, match="LABEL_0, LABEL_1, LABEL_2") as caught:
        NLIClassifier(str(nameless))
    assert "--nli-labels" in caught.value.hint
    named = NLIClassifier(str(nameless), labels=["Contradiction", "entailment", "neutral"])
    pair = [("w1 w2", "w5 w6 w7")]  # the weights are those of `folder`, whose configuration says the same order
    assert named.predict(pair)[0] == pytest.approx(NLIClassifier(str(folder)).predict(pair)[0], abs=1e-6)
    with pytest.raises(UserError, match="--nli-labels says yes, no, maybe"):
        NLIClassifier(str(nameless), labels=["yes", "no", "maybe"])


def test_a_two_way_model_is_refused(tmp_path: Path) -> None:
    make(tmp_path, id2label=UPPER)
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {"0": "entailment", "1": "not_entailment"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="entailment, not_entailment"):
        NLIClassifier(str(tmp_path))
    with pytest.raises(UserError, match="labels"):
        NLIClassifier(str(tmp_path), labels=LABELS)


def test_a_model_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    """AutoModelForSequenceClassification would make one up at random."""
    classifier = NLIClassifier(str(make(tmp_path, id2label=UPPER, head=False)))
    with pytest.raises(UserError, match=r"do not fit the model: tensors 2 missing .*classifier"):
        classifier.predict([("w1", "w2")])


def test_pickled_weights_are_refused_unless_allowed(tmp_path: Path, folder: Path) -> None:
    pickled = str(make(tmp_path, id2label=UPPER, safetensors=False))
    with pytest.raises(UserError, match=r"pytorch_model\.bin") as caught:
        NLIClassifier(pickled)
    assert "--allow-pickle" in caught.value.hint
    pair = [("w1 w2", "w3 w4")]
    allowed, same = (NLIClassifier(name, allow_pickle=allow) for name, allow in ((pickled, True), (str(folder), False)))
    assert allowed.predict(pair)[0] == pytest.approx(same.predict(pair)[0], abs=1e-6)


def test_remote_code_is_refused_unless_trusted(tmp_path: Path) -> None:
    make(tmp_path, id2label=UPPER)
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(UserError, match="wants to run code"):
        NLIClassifier(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tasksource/deberta-v3-base-tasksource-nli", "neither a folder here nor can it be downloaded"),
        ("./no/such/folder", "no such folder"),
        ("/no/such/folder", "no such folder"),
    ],
)
def test_a_model_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=message) as caught:
        NLIClassifier(name, revision=None if name.startswith(("/", ".")) else "0000000")
    assert "--nli rules" in caught.value.hint


def test_folders_that_are_no_models(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        NLIClassifier(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        NLIClassifier(str(tmp_path))
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(UserError, match="no weights"):
        NLIClassifier(str(tmp_path))
    with pytest.raises(UserError, match="has no revision"):
        NLIClassifier(str(folder), revision="main")


def test_damaged_weights_are_one_line(tmp_path: Path) -> None:
    make(tmp_path, id2label=UPPER)
    (tmp_path / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")
    with pytest.raises(UserError, match=r"model\.safetensors: damaged"):
        NLIClassifier(str(tmp_path)).predict([("w1", "w2")])


def test_nan_logits_stay_nan(tmp_path: Path) -> None:
    classifier = NLIClassifier(str(make(tmp_path, id2label=UPPER)))
    with torch.no_grad():
        classifier.model.classifier.weight.fill_(math.nan)
    assert all(math.isnan(p) for p in classifier.predict([("w1", "w2")])[0].values())


def test_the_fingerprint_follows_everything_that_moves_a_probability(tmp_path: Path, folder: Path) -> None:
    other = make(tmp_path, id2label=UPPER)
    same = NLIClassifier(str(folder)).fingerprint
    assert NLIClassifier(str(other)).fingerprint == same  # same content in another folder
    assert NLIClassifier(str(other), batch_size=1, device="cpu").fingerprint == same
    assert NLIClassifier(str(other), max_length=20).fingerprint != same
    assert NLIClassifier(str(other), labels=LABELS).fingerprint != same
    for name in ("tokenizer.json", "config.json", "model.safetensors"):
        content = (other / name).read_bytes()
        (other / name).write_bytes(content + b" ")
        assert NLIClassifier(str(other)).fingerprint != same, name
        (other / name).write_bytes(content)
    (other / "README.md").write_text("about")
    assert NLIClassifier(str(other)).fingerprint == same


def test_no_cuda_no_silent_cpu(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="sees no CUDA device"):
        NLIClassifier(str(folder), device="cuda:0").predict([("w1", "w2")])


def test_batches_hold_both_limits() -> None:
    lengths = [5, 1, 9, 30, 5, 2, 2, 8]
    batches = length_sorted_batches(lengths, max_items=3, max_tokens=18)
    assert batches == [[3], [2, 7], [0, 4, 5], [6, 1]]  # 30 alone; 2 * 9 = 18; 3 * 5 = 15; the rest
    assert sorted(i for batch in batches for i in batch) == list(range(8))
    assert length_sorted_batches([], max_items=3, max_tokens=18) == []
    assert unique(["b", "a", "b"]) == (["b", "a"], [0, 1, 0])


@pytest.mark.parametrize("room", [1, 2, 3])
def test_a_batch_too_big_for_the_memory_is_halved(room: int) -> None:
    ran: list[list[int]] = []

    def run(batch: list[int]) -> list[int]:
        if len(batch) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        ran.append(batch)
        return [10 * i for i in batch]

    assert run_batches(run, [[4, 3, 2, 1, 0]], 5, role="model") == [0, 10, 20, 30, 40]
    assert sorted(i for batch in ran for i in batch) == [0, 1, 2, 3, 4]


def test_one_text_too_big_for_the_memory_is_told() -> None:
    def run(_batch: list[int]) -> list[int]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="not even for one text"):
        run_batches(run, [[0, 1]], 2, role="NLI model")
