"""unlearn-bench: did the checkpoint forget, did it retain, does it still speak?"""

__version__ = "0.1.0"
