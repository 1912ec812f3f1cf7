"""Compare zserve with other model servers in one interleaved run: `make bench-serving`."""
