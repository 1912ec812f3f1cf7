"""ONNX Runtime reports nothing to its publisher."""

import os
import subprocess
import sys

CODE = """
import os, sys
before = {}
def watch(event, details):
    if event == "import" and details[0] == "onnxruntime":
        before.setdefault("variable", os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.addaudithook(watch)
import app.inference.exact_executor
print(before["variable"], len(os.listdir("/proc/self/task")))
"""


def test_telemetry_is_off_before_onnx_runtime_is_first_imported() -> None:
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "0", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    )
    # With telemetry, a thread that sends it is started on import.
    variable, threads = done.stdout.split()
    assert variable == "1"
    assert int(threads) == 1, done.stderr
