"""Whether exact versions give the same bytes under every executor and instruction set."""
