"""`python -m zserve_client`: the same as `zserve`."""

from zserve_client.command import main

if __name__ == "__main__":
    main()
