"""Processes, sockets and workers: everything around the ASGI app."""
