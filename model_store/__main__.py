"""python -m model_store: list the versions of a store, show one, check them, promote one."""

import sys

from model_store.store.cli import main

if __name__ == "__main__":
    sys.exit(main())
