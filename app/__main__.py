"""python -m app: serve the models of a store over HTTP."""

import sys

from app.server.cli import main

if __name__ == "__main__":
    sys.exit(main())
