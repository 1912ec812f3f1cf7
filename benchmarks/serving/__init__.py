"""zserve beside the servers that people would pick, in one run: `make bench-serving`."""
