"""The number of files and connections that this process may have open."""

import contextlib
import resource

_ENOUGH = 65_536
"""Number of file descriptors that is asked for at most."""


def raise_file_limit() -> None:
    """Raise the soft limit of open files towards the hard one.

    Many systems start a process with a soft limit of 1,024, for programs that use select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
