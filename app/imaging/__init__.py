"""Pictures as bytes: decoding uploads and encoding answers. Knows no HTTP."""
