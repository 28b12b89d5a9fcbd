"""unlearn-bench: did the checkpoint forget, did it retain, does it still speak?"""

__version__ = "0.2.0.dev0"
