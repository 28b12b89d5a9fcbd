"""Packages only: the rest is in setup.cfg. The folder `tasks/` travels inside the wheel as `unlearn_bench.task_configs`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["unlearn_bench", "unlearn_bench.*"]), "unlearn_bench.task_configs"],
    package_dir={"unlearn_bench.task_configs": "tasks"},
    package_data={
        "unlearn_bench.task_configs": ["_unlearn", "*.yaml", "*/*.yaml"],
        "unlearn_bench": ["*/data/**/*", "*/*.json", "*/*.jsonl", "*/*.yaml", "*/*.html", "*/*.j2", "nano/**/*"],
    },
)
