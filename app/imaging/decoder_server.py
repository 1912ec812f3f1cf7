"""Run decoding jobs in processes that can be limited and killed: python -m ... SOCKET.

Decoders are C code that cannot be interrupted, so a job whose cost is not known gets a process of
its own. This process has imported what jobs need, and forks itself for each of them, which takes
milliseconds. It has one thread, so forking is safe.

The service sends one end of a new pair of sockets for each job. The forked process reads the job
from it, and writes the result. When the process has ended, this one appends the signal that ended it
as one byte after the marker END, and closes the socket. A job whose socket the service closes is killed; so are all of
them when the service itself ends.
"""

import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from PIL import AvifImagePlugin
from pydantic import BaseModel

from app.errors import LimitError, UploadError
from app.imaging.decode import too_complex
from app.imaging.jobs import DecodingJob, RefusalMessage
from app.typing import Upload
from model_store.errors import ImageError

NICENESS = 5
"""Added to the niceness of the service, whose event loop comes first."""
END = b"end of job "
"""Bytes before the signal's number. A result without them was cut short."""
FAILED = 255
"""Appended instead of a signal if the job ended with an unexpected exception."""

_OUT_OF_MEMORY_SCORE = "500"
_LENGTH_BYTES = 8
_PR_SET_PDEATHSIG = 1
"""Option of prctl(2): the signal that a process gets when its parent ends."""
_SEND_TIMEOUT_S = 1.0
"""Time (s) that the service has for taking a result out of a full socket."""


class JobMessage(BaseModel):
    """A job, the names and sizes (bytes) of its files, which follow, and its limits."""

    job: DecodingJob
    files: list[tuple[str, int]]
    cpu_s: float
    memory_bytes: int


class ResultMessage(BaseModel):
    """Shape of the levels that follow, or why there are none."""

    shape: tuple[int, ...] = ()
    refusal: RefusalMessage | None = None


@dataclass(frozen=True)
class _Job:
    """A forked process, its socket, and a pipe that is closed when the process ends."""

    pid: int
    connection: socket.socket
    alive: int


def main(control: socket.socket) -> None:
    """Start a process for each job until the service closes the socket."""
    for each in (signal.SIGINT, signal.SIGTERM):  # the service is stopped, and then closes it
        signal.signal(each, signal.SIG_IGN)
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # Linux: if memory runs out, a job ends, and no worker
        Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_SCORE)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    gc.freeze()
    jobs: dict[int, _Job] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == control.fileno():
                connection = _receive(control)
                if connection is None:
                    _kill(set(jobs.values()))
                    return
                job = _start(connection, control, jobs)
                jobs[job.alive] = jobs[connection.fileno()] = job
                poll.register(job.alive, 0)  # of both, only the end is reported
                poll.register(connection, 0)
            elif descriptor in jobs:
                job = jobs[descriptor]
                del jobs[job.alive], jobs[job.connection.fileno()]
                poll.unregister(job.alive)
                poll.unregister(job.connection)
                _finish(job, abandoned=descriptor != job.alive)


def _receive(control: socket.socket) -> socket.socket | None:
    """Return the socket of a new job, or None if the service has ended."""
    try:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    except ConnectionError:
        return None
    return socket.socket(fileno=descriptors[0]) if message and descriptors else None


def _start(connection: socket.socket, control: socket.socket, jobs: dict[int, _Job]) -> _Job:
    alive, ended = os.pipe()
    pid = os.fork()
    if pid == 0:
        control.close()
        os.close(alive)
        for job in set(jobs.values()):
            os.close(job.alive)
            job.connection.close()
        _run(connection)
    os.close(ended)
    return _Job(pid, connection, alive)


def _finish(job: _Job, *, abandoned: bool) -> None:
    """Reap a process that has ended, or whose result is not wanted any more."""
    if abandoned:
        os.kill(job.pid, signal.SIGKILL)
    _, status = os.waitpid(job.pid, 0)
    if not abandoned:
        code = os.waitstatus_to_exitcode(status)
        job.connection.settimeout(_SEND_TIMEOUT_S)
        with contextlib.suppress(OSError):
            job.connection.sendall(END + bytes([-code if code <= 0 else FAILED]))
    job.connection.close()
    os.close(job.alive)


def _kill(jobs: set[_Job]) -> None:
    for job in jobs:
        _finish(job, abandoned=True)


# --- in the process of a job -------------------------------------------------------------------


def _run(connection: socket.socket) -> NoReturn:
    status = 1
    try:
        with connection.makefile("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
            message = JobMessage.model_validate_json(file.read(length))
            _limit(message)
            uploads = [Upload(name, file.read(size)) for name, size in message.files]
        connection.sendall(_result(message.job, uploads))
        status = 0
    except ConnectionError:
        status = 0  # the service has lost interest
    except BaseException:  # noqa: BLE001 - a forked process must not return into the loop above
        traceback.print_exc()
    os._exit(status)


def _limit(message: JobMessage) -> None:
    """Let the kernel end the process by SIGPROF when its time of the CPU is over.

    On Linux it also ends with the process that forked it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (message.memory_bytes, message.memory_bytes))
    signal.setitimer(signal.ITIMER_PROF, message.cpu_s)


def _result(job: DecodingJob, uploads: list[Upload]) -> bytes:
    try:
        levels = job.run(uploads, lambda: False)
    except (UploadError, LimitError, ImageError) as error:
        return frame(ResultMessage(refusal=RefusalMessage.describe(error)))
    except MemoryError:
        refusal = too_complex("decoding the images takes too much memory")
        return frame(ResultMessage(refusal=RefusalMessage.describe(refusal)))
    return frame(ResultMessage(shape=levels.shape)) + levels.tobytes()


def frame(message: BaseModel) -> bytes:
    """Return the length of a message and the message."""
    text = message.model_dump_json().encode()
    return len(text).to_bytes(_LENGTH_BYTES, "big") + text


def parse(content: bytes) -> tuple[ResultMessage, bytes] | None:
    """Return the message at the begin of the content and the bytes after it; None if incomplete."""
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "big")
    if len(content) < max(end, _LENGTH_BYTES + 1):
        return None
    return ResultMessage.model_validate_json(content[_LENGTH_BYTES:end]), content[end:]


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
