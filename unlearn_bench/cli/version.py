"""Say which versions are installed: of unlearn-bench, Python, and the libraries that can move a number.

Nothing of them is imported, so that it is quick and works where one of them is broken.
"""

import argparse
import json
import platform
from importlib import metadata

from unlearn_bench import __version__
from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_OK

HELP = "versions of unlearn-bench and of the libraries it uses"
LIBRARIES = (
    "torch",
    "transformers",
    "lm_eval",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "sentence-transformers",
    "nltk",
    "rouge-score",
    "numpy",
    "scipy",
    "vllm",
    "gguf",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add(parser, "--json", " (name to version, null where it is not installed)")


def run(args: argparse.Namespace) -> int:
    """Print the versions."""
    found = {"unlearn-bench": __version__, "python": platform.python_version(), "platform": platform.platform()}
    found |= {name: _version(name) for name in LIBRARIES}
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{name:<22} {version or 'not installed'}" for name, version in found.items()))
    return EXIT_OK


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
