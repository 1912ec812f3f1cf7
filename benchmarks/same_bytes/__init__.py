"""Compare the bytes of exact versions over executors and instruction sets."""
