"""Fit a VAE: objective, schedules, trainer."""
