"""Compare the speed of training loops: `make bench-training`."""
