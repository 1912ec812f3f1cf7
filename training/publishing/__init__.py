"""Publish measured models: release, card, figures, comparison."""
