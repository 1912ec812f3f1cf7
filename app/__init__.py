"""The HTTP service: the only code of zserve that speaks HTTP."""
