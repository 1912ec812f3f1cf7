"""Measure trained models on a test split, and verify published numbers."""
