"""`python -m unlearn_bench` is the same command as `unlearn-bench`."""

import sys

from unlearn_bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
