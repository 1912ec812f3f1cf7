"""Run a job: train with checkpoints and logs, then publish."""
