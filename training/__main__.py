"""Run `python -m training`; the entry points of pyproject.toml are here too."""

import sys

from training.cli.main import main, train

__all__ = ["main", "train"]

if __name__ == "__main__":
    sys.exit(main())
