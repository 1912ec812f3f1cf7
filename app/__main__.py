"""python -m app: serve the models of a store over HTTP."""

import os
import sys

# One thread for numpy's products, as for all others: workers use the cores. numpy reads it once,
# when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from app.server.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
