"""Offline: trains a VAE from a preset, measures it, draws it, publishes it. Knows only model_store."""
