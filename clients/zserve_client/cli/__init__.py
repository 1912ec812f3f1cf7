"""The command `zserve`. Each subcommand has a module; `__main__` reads the command line."""
