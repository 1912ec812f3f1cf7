"""The process around the ASGI app: command line, sockets, worker processes.

One process, or several:
    cli               read the settings, open the sockets, serve
    serve             serve in this process, or in several workers
    cores             the number of workers that a machine has room for
    supervisor        start, watch, replace and stop the workers; `restarts` decides when
    worker            the reports of a worker to its supervisor
    server            uvicorn's server with heartbeats
    draining          stop a server without losing a request; `silence` closes idle connections
    signals           wait for signals with a timeout
    metrics_folder    the folder in which workers share their metrics

Connections, from the socket to the app:
    sockets           open the listening sockets, and close them to new clients
    accepting         accept several connections in one pass of the event loop
    connections       all connections of a worker: their number, deadlines and memory
    protocol          HTTP/1.1 on one connection; its base classes are, in this order,
    timed_connection  deadlines, and how a connection is closed
    shedding          refusals of an overloaded service
    cycle             one request and its answer
    refusals          answers to requests that never reach the app

Before and beside serving:
    doctor            `zserve doctor`
    folders           check the folders that the environment names
    open_files        raise the limit of open files
    stderr            write to stderr from a thread
"""
