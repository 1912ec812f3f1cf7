"""Run one target under atheris: python -m tests.fuzz.guided TARGET [OPTIONS OF LIBFUZZER] CORPUS."""

import sys
import time
import warnings

import atheris

with atheris.instrument_imports(include=["app", "model_store"]):
    from tests.fuzz.target import SLOW_S
    from tests.fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv[1]]
    warnings.simplefilter("ignore")

    def run(data: bytes) -> None:
        begin = time.process_time()  # of this process, whatever else the machine does
        error = target.crash(data)
        if error is not None:
            raise error
        if time.process_time() - begin > SLOW_S:
            raise TimeoutError("this input takes too much CPU time")

    atheris.Setup([sys.argv[0], *sys.argv[2:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
