"""The engine that runs models, and the cache that loads them. Knows no HTTP."""
