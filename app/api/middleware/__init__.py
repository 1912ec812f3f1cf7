"""ASGI middleware that every request passes, from the outside in.

proxy            sets client, scheme and prefix of the path, by the headers of trusted proxies
request_context  assigns the request id and the trace; turns uncaught exceptions into a 500 problem
metrics          counts, times and logs the request
admission        names the client to the engine; refuses requests of an overloaded service
head             answers HEAD with the headers of GET
access           checks API keys and rates, if they are configured
disconnect       cancels the work if the client disconnects
body_limit       refuses bodies that are too large

`headers` is no middleware: it reads the headers of a request for the others.
"""
