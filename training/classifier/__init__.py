"""The classifier that measures samples."""
