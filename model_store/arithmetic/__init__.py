"""The arithmetic `exact-1`: networks whose results are the same bytes on every machine.

Every sum is a sum of integers that float32 (or, for the first layer, float64) represents exactly,
so its value depends neither on its order nor on the library, batch, thread count or instruction
set. docs/arithmetic.md is the specification.

    program      operations and functions of an exact network
    file         program <-> exact.safetensors
    proof        bounds of every sum, proved in integers when a version is loaded
    certificate  scales of activations for which every library rounds to the same integer
    executors    numpy (the reference), ONNX Runtime, torch
"""

ARITHMETIC = "exact-1"
