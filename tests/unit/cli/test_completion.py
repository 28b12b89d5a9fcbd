"""The completion scripts: made for every shell, and bash completes verbs, options and values with its own."""

import shutil
import subprocess

import pytest

from unlearn_bench.cli import build_parser, main
from unlearn_bench.cli.completion import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_verb(shell, capsys):
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    verbs = next(a for a in build_parser()._actions if a.dest == "verb").choices
    assert all(verb in script for verb in verbs)
    if shell != "tcsh":
        assert "--retain-model" not in script  # a former name


def test_without_the_library_the_next_step_is_said(capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install shtab" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["sc"], {"score"}),
        (["run", "--prof"], {"--profile"}),
        (["run", "--profile", ""], {"offline", "standard", "paper"}),
        (["nano", "re"], {"reproduce"}),
    ],
)
def test_bash_completes(words, wanted, capsys):
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    line = ["unlearn-bench", *words]
    quoted = " ".join(f"'{word}'" for word in line)
    script += f"""
COMP_WORDS=({quoted}); COMP_CWORD={len(words)}
_shtab_unlearn_bench unlearn-bench '{words[-1]}' '{line[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True)
    assert wanted <= {word.strip() for word in done.stdout.split()}
