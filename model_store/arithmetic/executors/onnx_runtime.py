"""ONNX Runtime without its telemetry; other modules import `onnxruntime` from here.

Since version 1.29 its builds for Linux report sessions, graphs and hashes of weights to a host of
their publisher, from a thread of their own, unless a variable is set before the first import.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime  # noqa: TID251 - after the variable is set

__all__ = ["onnxruntime"]
