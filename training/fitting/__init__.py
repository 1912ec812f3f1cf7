"""Fitting a VAE: objective, schedule, trainer."""
