"""Give an environment what a package installed there requires, and no more: links into the environment of this Python.

`pip install` of the same versions would take minutes and gigabytes. That pip finds them is shown by `make setup`.
"""

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement


def requirements(package: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """What a package requires here with these extras."""
    for requirement in map(Requirement, package.requires or []):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in {"", *extras}):
            yield requirement


def link(package: Distribution, folder: Path) -> None:
    """Link the modules and the metadata of a package."""
    for name in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
        if not (folder / name).exists():  # packages of one namespace share a folder
            (folder / name).symlink_to(package.locate_file(name))


def main(name: str, environment: str) -> None:
    """Link what `name`, installed in `environment`, requires, and what that requires."""
    (folder,) = Path(environment).glob("lib/python*/site-packages")
    (package,) = distributions(name=name, path=[str(folder)])
    waiting, seen = list(requirements(package, set())), set()
    while waiting:
        requirement = waiting.pop()
        found = distribution(requirement.name)
        if not requirement.specifier.contains(found.version, prereleases=True):
            sys.exit(f"{requirement} is required, and {found.version} is installed")
        link(found, folder)
        if str(requirement) not in seen:
            seen.add(str(requirement))
            waiting += requirements(found, requirement.extras)


if __name__ == "__main__":
    main(*sys.argv[1:])
