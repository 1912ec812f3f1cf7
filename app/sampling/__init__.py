"""Latent vectors: from seeds, along paths, and around a posterior. Pure numpy."""
