"""NLTK module by module: `import nltk` also imports scipy.stats, scikit-learn and pandas, which nothing here uses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import RLock
from types import ModuleType

_PACKAGES = ("nltk", "nltk.stem")  # their own code imports the rest
_lock = RLock()


@contextmanager
def light_nltk() -> Iterator[None]:
    """Within, an import from a module of NLTK runs that module and not the code of the packages around it.

    Afterwards none of it is left in `sys.modules`, so that whoever imports NLTK gets all of it. Nothing is different
    where NLTK is imported already, or not installed.
    """
    with _lock:
        found = None if "nltk" in sys.modules else find_spec("nltk")
        if found is None or not found.submodule_search_locations:
            yield
            return
        try:
            for package in _PACKAGES:
                module = ModuleType(package)
                below = package.split(".")[1:]
                module.__path__ = ["/".join((folder, *below)) for folder in found.submodule_search_locations]
                module.__spec__ = ModuleSpec(package, None, is_package=True)
                sys.modules[package] = module
            yield
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "nltk"]:
                del sys.modules[name]
