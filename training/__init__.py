"""Train a VAE from a preset, measure it, draw figures, publish it. Imports only model_store."""
