"""The process around the ASGI app: command line, sockets, worker processes."""
