"""Packages only, the rest is in setup.cfg: `tasks/` travels inside the wheel as `unlearn_bench.task_configs`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["unlearn_bench", "unlearn_bench.*"]), "unlearn_bench.task_configs"],
    package_dir={"unlearn_bench.task_configs": "tasks"},
    package_data={
        "unlearn_bench.task_configs": ["_unlearn", "*.yaml", "*/*.yaml", "*/*/*.yaml"],
        # whatever is not code: banks, checkpoints, word lists, presets, prompts, templates, assets
        "unlearn_bench": [
            "py.typed",
            "**/*.json",
            "**/*.jsonl",
            "**/*.yaml",
            "**/*.txt",
            "**/*.html",
            "**/*.j2",
            "**/*.css",
            "**/*.js",
            "**/*.svg",
            "**/*.jinja",
            "**/*.safetensors",
            "**/*.md",
            "**/LICENSE*",
        ],
    },
)
