"""A training run from data to publication, its checkpoints and its log."""
