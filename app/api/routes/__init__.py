"""The endpoints, one module per noun.

A route parses the request, calls the engine and returns a result. It handles no torch tensors and no
image files.
"""
