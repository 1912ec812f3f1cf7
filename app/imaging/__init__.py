"""Uploads to pixels, and pixels to the bytes of files. Images are arrays; no HTTP is known here."""
