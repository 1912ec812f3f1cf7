"""Decode uploads to pixels, and encode pixels as files. Independent of HTTP and of models."""
