"""`run --backend api` against a real chat server; `--backend vllm` as far as a machine without vLLM can show it."""

import json
import socket
import subprocess
import sys
import time
import types
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from unlearn_bench import results


@pytest.fixture(scope="module")
def server(checkpoint) -> Iterator[str]:
    """`transformers serve`, the OpenAI-compatible server of transformers, on loopback."""
    pytest.importorskip("uvicorn", reason="needs transformers[serving]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(checkpoint)),
        *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has stopped"
        try:
            urllib.request.urlopen(url, timeout=1)
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    pytest.fail(f"no answer from {url} in {seconds} s")


def test_a_chat_server_gives_what_the_checkpoint_gives(run, server, checkpoint, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-this-test")
    _, local = run("--limit", 6, output="local", tasks="tofu_kfr")
    arguments = ("--backend", "api", "--model", checkpoint, "--model-args", f"base_url={server},num_concurrent=2")
    code, served = run(*arguments, "--limit", 6, output="served", tasks="tofu_kfr")
    assert code == 0
    one, two = (results.read_samples(f) for f in (local, served))
    assert [s.response for s in one] == [s.response for s in two]
    result = results.read_result(served)
    assert result.model.source == "api"
    assert result.model.weights_sha256 is None
    assert "sk-secret" not in (served / "result.json").read_text() + (served / "samples.jsonl").read_text()


def test_answers_without_content_are_counted(run, monkeypatch):
    from unlearn_bench import lm_api

    contents = iter([None, "who wrote the book", None, "Ada"] * 3)

    def post(self, messages, **_):
        answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": next(contents)}}]}
        return self.parse_generations(answer)

    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setattr(
        lm_api.ChatServerLM, "generate_until", lambda self, requests, **_: [post(self, r)[0] or "" for r in requests]
    )
    arguments = ("--backend", "api", "--model", "m", "--model-args", "base_url=http://127.0.0.1:9/v1")
    _, folder = run(*arguments, "--limit", 4, tasks="tofu_kfr")
    assert "the server gave no content for 2 answers; they are scored as empty" in results.read_result(folder).notes
    assert results.read_result(folder).tasks["tofu_kfr"].empty == 2


def test_strict_servers_get_no_field_that_only_restates_the_default(monkeypatch):
    from unlearn_bench.lm_api import ChatServerLM

    monkeypatch.setenv("OPENAI_API_KEY", "none")
    lm = ChatServerLM(base_url="http://127.0.0.1:9/v1/", model="m")
    settings = {"until": [], "do_sample": False, "max_gen_toks": 7, "repetition_penalty": 1.0}
    payload = lm._create_payload([{"role": "user", "content": "?"}], generate=True, gen_kwargs=settings)
    assert lm.base_url == "http://127.0.0.1:9/v1/chat/completions"
    assert sorted(payload) == ["max_tokens", "messages", "model", "seed", "temperature"]
    assert json.dumps(payload)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backend", "api", "--model", "m"), "no server address"),
        (("--backend", "api", "--model", "m", "--adapter", "x"), "a server chooses its own adapters"),
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
    from unlearn_bench.backends import load_model
    from unlearn_bench.evaluate import RunSpec

    seen: dict[str, object] = {}
    stand_in = types.ModuleType("lm_eval.models.vllm_causallms")  # the real one cannot be imported without vLLM
    stand_in.VLLM = type("VLLM", (), {"__init__": lambda self, **arguments: seen.update(arguments)})
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    spec = RunSpec(
        model=str(checkpoint),
        backend="vllm",
        dtype="bfloat16",
        batch_size=64,
        model_args={"tensor_parallel_size": 2, "data_parallel_size": 1, "gpu_memory_utilization": 0.6},
    )
    _, info = load_model(spec)
    assert seen == {
        "pretrained": str(checkpoint),
        "dtype": "bfloat16",
        "trust_remote_code": False,
        "batch_size": 64,
        "seed": 0,
        "tensor_parallel_size": 2,
        "data_parallel_size": 1,
        "gpu_memory_utilization": 0.6,
    }
    assert info.weights_sha256 is not None
