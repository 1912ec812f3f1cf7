"""Faults under load: stops, kills, hangs, blocked pipes. `python -m benchmarks.chaos --list`."""
