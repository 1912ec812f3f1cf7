"""Networks of zserve that are not part of it: see README.md beside this package."""
