"""Benchmarks that compare zserve with other programs: `python -m benchmarks.<name>`."""
