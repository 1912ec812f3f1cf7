"""python -m zserve: the command `zserve`."""

from zserve_client.cli.__main__ import main

if __name__ == "__main__":
    main()
