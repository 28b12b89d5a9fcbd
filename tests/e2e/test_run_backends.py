"""`run --backend api` against a real chat server; `--backend vllm` as far as a machine without vLLM can show it."""

import json
import re
import shutil
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Server, body, completion, free_port, modes, nobody, once, says
from tests.tiny import tiny_tokenizer
from unlearn_bench import results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint with its stop tokens in generation_config.json: a server reads them nowhere else."""
    from transformers import AutoTokenizer

    from unlearn_bench.tokens import Prompts

    folder = tmp_path_factory.mktemp("served") / checkpoint.name
    shutil.copytree(checkpoint, folder)
    path = folder / "generation_config.json"
    stops = sorted(Prompts(AutoTokenizer.from_pretrained(folder)).stop_ids)
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": stops}))
    return folder


@pytest.fixture(scope="module")
def server(served: Path) -> Iterator[str]:
    """`transformers serve`, the OpenAI-compatible server of transformers, on loopback."""
    pytest.importorskip("uvicorn", reason="needs transformers[serving]")
    port = free_port()
    command = [
        *(sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(served)),
        *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen, seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has stopped"
        try:
            urllib.request.urlopen(url, timeout=30)
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    pytest.fail(f"no answer from {url} in {seconds} s")


@pytest.mark.slow
def test_a_chat_server_gives_what_the_checkpoint_gives(run, server, served, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-this-test")
    _, local = run("--limit", 6, "--no-first-answer", output="local", tasks="tofu_kfr")
    arguments = ("--backend", "api", "--model", served, "--model-args", f"base_url={server},num_concurrent=2")
    code, folder = run(*arguments, "--limit", 6, "--no-first-answer", output="served", tasks="tofu_kfr")
    assert code == 0
    one, two = (results.read_samples(f) for f in (local, folder))
    # a server drops special tokens, which this random model writes in mid-sentence
    spoken = [" ".join(re.sub(r"<\|\w+\|>", " ", sample.response).split()) for sample in one]
    assert spoken == [sample.response for sample in two]
    result = results.read_result(folder)
    assert result.model.source == "api"
    assert result.model.weights_sha256 is None
    assert "sk-secret" not in (folder / "result.json").read_text() + (folder / "samples.jsonl").read_text()


KEY = "sk-MARKED/Qx7+Zt2=Lw9-Vb4_Np6Rk8"


@pytest.fixture
def asked(run, monkeypatch, tmp_path, capfd):
    """Run against a server that plays a mode; returns (exit code, folder, what was printed). Looks for the key."""

    server = Server(lambda e: completion(f"answer to {e.question}"))

    def call(mode, *arguments: object, limit: int = 10, url: str | None = None) -> tuple[int, Path, str]:
        server.play(mode)
        api = ("--backend", "api", "--model", "m", "--model-args", f"base_url={url or server.url},max_retries=1")
        code, folder = run(*api, "--limit", limit, *arguments, tasks="tofu_kfr")
        shown = capfd.readouterr()
        written = [f.read_text() for f in tmp_path.rglob("*") if f.is_file()]
        assert not [t for t in (shown.out, shown.err, *written) if any(KEY[i : i + 8] in t for i in range(24))]
        return code, folder, shown.err

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with server:
        yield call


def test_one_fault_that_passes_is_not_seen(asked):
    told = f"Authorization: Bearer {KEY}"
    code, folder, err = asked(once(body({"error": told}, 503)), "--quiet")
    assert (code, err) == (0, "")
    samples = results.read_samples(folder)
    assert [s.response for s in samples] == [f"answer to {s.question}".strip() for s in samples]


@pytest.mark.parametrize(
    "mode", ["error_object", "null_content", "wrong_index", "empty_choices", "html", "redirect_307"]
)
def test_a_server_that_gives_no_answer_gives_no_score(asked, mode):
    code, folder, err = asked(modes(KEY, "http://127.0.0.1:9")[mode], "--quiet")
    assert code == 2
    assert not (folder / "result.json").exists()
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 2  # what, and what to do


def test_a_dead_server_is_one_line(asked):
    with nobody() as url:
        code, _, err = asked(None, "--quiet", url=url)
    assert code == 2
    assert err.startswith(f"unlearn-bench run: nothing answers at {url}/v1 (")
    assert "start the server" in err


def test_answers_that_were_not_given_are_unscored_said_and_asked_for_again(asked):
    filtered = once(says("I", finish_reason="content_filter"))
    code, folder, _ = asked(filtered, "--quiet")
    assert code == 0
    result = results.read_result(folder)
    assert "the server gave no answer to 1 questions, unscored: content_filter 1" in result.notes
    reasons = {name: value.unscored_reasons for name, value in result.tasks["tofu_kfr"].metrics.items()}
    assert reasons["kfr"] == reasons["empty"] == {"no_answer_from_server: content_filter": 1}
    assert result.tasks["tofu_kfr"].metrics["kfr"].n == 9
    assert (result.tasks["tofu_kfr"].n, result.tasks["tofu_kfr"].empty) == (10, 0)
    (missing,) = [s for s in results.read_samples(folder) if s.missing]
    assert (missing.response, missing.scores) == ("", {})

    def only_the_missing(e):
        assert e.question == missing.question
        e.send(200, completion("now"))

    assert asked(only_the_missing, "--quiet")[0] == 0
    assert [s.missing for s in results.read_samples(folder)] == [None] * 10


def test_the_runs_seed_is_sent(asked):
    seeds = []

    def mode(e):
        seeds.append(e.body["seed"])
        e.send(200, completion("x"))

    asked(mode, "--temperature", 0.7, "--seed", 7, "--quiet", limit=2)
    assert seeds == [7, 7]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backend", "api", "--model", "m"), "no server address"),
        (("--backend", "api", "--model", "m", "--model-args", "api_key=sk-x"), "a key on the command line"),
        (("--backend", "api", "--model", "m", "--adapter", "x"), "a server chooses its own adapters"),
        (("--backend", "api", "--model", "m", "--thinking", "off"), "a server has its own chat template"),
        (("--backend", "vllm"), r"pip install 'unlearn-bench\[vllm\]'"),
    ],
)
def test_what_a_backend_cannot_do_is_said(run, capsys, arguments, words):
    if "vllm" in arguments:
        try:
            import vllm  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("vLLM is installed here")
    import re

    assert run(*arguments)[0] == 2
    assert re.search(words, capsys.readouterr().err)


def test_vllm_gets_lm_evals_arguments(checkpoint, monkeypatch):
    from unlearn_bench.harness.backends import load_model
    from unlearn_bench.harness.spec import RunSpec

    seen: dict[str, object] = {}
    stand_in = types.ModuleType("lm_eval.models.vllm_causallms")  # the real one cannot be imported without vLLM
    tokenizer = tiny_tokenizer()
    stand_in.VLLM = type("VLLM", (), {"__init__": lambda self, **given: seen.update(given), "tokenizer": tokenizer})
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    spec = RunSpec(
        model=str(checkpoint),
        backend="vllm",
        dtype="bfloat16",
        batch_size=64,
        model_args={"tensor_parallel_size": 2, "data_parallel_size": 1, "gpu_memory_utilization": 0.6},
    )
    model = load_model(spec)
    assert "what ?" in model.template([{"role": "user", "content": "what ?"}])
    assert seen == {
        "pretrained": str(checkpoint),
        "tokenizer": str(checkpoint),
        "dtype": "bfloat16",
        "trust_remote_code": False,
        "batch_size": 64,
        "seed": 0,
        "tensor_parallel_size": 2,
        "data_parallel_size": 1,
        "gpu_memory_utilization": 0.6,
    }
    assert model.info.weights_sha256 is not None
