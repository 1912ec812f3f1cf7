"""Run one target under atheris: python -m tests.fuzz.guided TARGET [OPTIONS OF LIBFUZZER] CORPUS."""

import sys
import warnings

import atheris

with atheris.instrument_imports(include=["app", "model_store"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv[1]]
    warnings.simplefilter("ignore")

    def run(data: bytes) -> None:
        error = target.crash(data)
        if error is not None:
            raise error

    atheris.Setup([sys.argv[0], *sys.argv[2:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
