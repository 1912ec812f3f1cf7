"""Decode uploads beside the event loop: a bounded queue, and jobs that can be stopped.

    levels = await decoder.run(job, uploads)

Light uploads are decoded in a thread, others in processes that the kernel ends when they exceed
their time. The work of a cancelled call is dropped: a thread stops before its next image, and a
process is killed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from app.errors import CorruptImageError, NotReadyError, QueueFullError, ShuttingDownError
from app.imaging import decoder_server
from app.imaging.decode import too_complex
from app.imaging.decoder_server import END, FAILED, JobMessage, frame, parse
from app.imaging.jobs import DecodingJob
from app.imaging.light import are_light
from app.typing import Bytes, Upload

THREADS = 2
_RECEIVE_BYTES = 2**18
_MIB = 2**20
_CPU_S_PER_FILE = 0.002
"""Time (s) of the CPU for each further file: finding a drawn digit takes 1 to 3 ms."""


class Decoder:
    """Runs decoding jobs. Use it from one event loop.

    Args:
        processes: Largest number of jobs in processes of their own at a time.
        queue: Largest number of jobs that wait or run; counted separately for threads and processes.
        cpu_s: Time (s) of the CPU that a process may take for one file of up to 1 MiB.
        cpu_s_per_mib: Time (s) of the CPU that a process may take for each further MiB.
        memory_bytes: Largest memory of a process.
    """

    def __init__(
        self,
        *,
        processes: int,
        queue: int,
        cpu_s: float,
        cpu_s_per_mib: float,
        memory_bytes: int,
    ) -> None:
        self._queue = queue
        self._cpu_s = cpu_s
        self._cpu_s_per_mib = cpu_s_per_mib
        self._memory_bytes = memory_bytes
        self._threads = ThreadPoolExecutor(THREADS, "uploads")
        self._places = asyncio.Semaphore(processes)
        self._in_threads = self._in_processes = 0
        self._server: _Server | None = None
        self._starting = threading.Lock()
        self._closed = False

    @property
    def jobs_in_processes(self) -> int:
        """Number of jobs that wait for a process of their own, or have one."""
        return self._in_processes

    async def run(self, job: DecodingJob, uploads: Sequence[Upload]) -> Bytes:
        """Return the levels of a job; raises UploadError, LimitError, ImageError, UnavailableError."""
        if self._closed:
            raise ShuttingDownError("the service is being stopped")
        if are_light(upload.content for upload in uploads):
            return await self._run_in_thread(job, uploads)
        return await self._run_in_process(job, uploads)

    def close(self) -> None:
        """End all jobs."""
        self._closed = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._server is not None:
            self._server.close()

    async def _run_in_thread(self, job: DecodingJob, uploads: Sequence[Upload]) -> Bytes:
        if self._in_threads >= self._queue:
            raise _full(self._in_threads)
        abandoned = threading.Event()
        self._in_threads += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, job.run, uploads, abandoned.is_set)
        finally:
            abandoned.set()
            self._in_threads -= 1

    async def _run_in_process(self, job: DecodingJob, uploads: Sequence[Upload]) -> Bytes:
        if self._in_processes >= self._queue:
            raise _full(self._in_processes)
        self._in_processes += 1
        try:
            async with self._places:
                server = self._server
                if server is None or not server.runs():
                    loop = asyncio.get_running_loop()
                    server = await loop.run_in_executor(self._threads, self._running_server)
                message = self._message(job, uploads)
                answer = await server.exchange(message, uploads)
        finally:
            self._in_processes -= 1
        return _levels(answer, message)

    def _message(self, job: DecodingJob, uploads: Sequence[Upload]) -> JobMessage:
        files = [(upload.name, len(upload.content)) for upload in uploads]
        further = max(0, sum(size for _, size in files) - _MIB)
        return JobMessage(
            job=job,
            files=files,
            cpu_s=self._cpu_s
            + self._cpu_s_per_mib * further / _MIB
            + _CPU_S_PER_FILE * (len(files) - 1),
            memory_bytes=self._memory_bytes,
        )

    def _running_server(self) -> "_Server":
        """Return the process that forks the jobs; start it if it does not run."""
        with self._starting:
            if self._server is not None and not self._server.runs():
                self._server.close()
                self._server = None
            if self._server is None:
                self._server = _Server()
            return self._server


class _Server:
    """A process `decoder_server`, and the socket that it takes jobs from."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        root = str(Path(__file__).parents[__name__.count(".")])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-m", decoder_server.__name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            )

    def runs(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Let the process kill its jobs and end."""
        self._control.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def exchange(self, message: JobMessage, uploads: Sequence[Upload]) -> bytes:
        """Send a job and return what comes back; if the caller is cancelled, the job is killed."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, contextlib.suppress(ConnectionError):
                socket.send_fds(self._control, [b"j"], [theirs.fileno()])
            ours.setblocking(False)
            with contextlib.suppress(ConnectionError):  # the reason can still be received
                await loop.sock_sendall(ours, frame(message))
                for upload in uploads:
                    await loop.sock_sendall(ours, upload.content)
            answer = bytearray()
            with contextlib.suppress(ConnectionError):
                while part := await loop.sock_recv(ours, _RECEIVE_BYTES):
                    answer += part
        return bytes(answer)


def _levels(answer: bytes, message: JobMessage) -> Bytes:
    """Return the levels of an answer; raises the error that ended the job."""
    content, end, signals = answer.rpartition(END)
    if not end or len(signals) != 1:
        raise NotReadyError("the process that decodes images has ended")
    ended_by = signals[0]
    if ended_by == signal.SIGPROF:
        raise too_complex(
            f"decoding the images takes more than {message.cpu_s:.2g} s", limit=message.cpu_s
        )
    if ended_by == signal.SIGKILL:
        raise too_complex("decoding the images takes too much memory")
    if ended_by == FAILED:
        raise RuntimeError("a process that decodes images failed; its traceback is on stderr")
    result = parse(content)
    if ended_by != 0 or result is None:
        raise CorruptImageError(
            f"an image is damaged: its decoder was ended by signal {ended_by}",
            remedy="save the image as PNG or JPEG and send that",
        )
    head, levels = result
    if head.refusal is not None:
        raise head.refusal.error()
    return np.frombuffer(levels, np.uint8).reshape(head.shape)


def _full(jobs: int) -> QueueFullError:
    return QueueFullError(f"the uploads of {jobs} requests are being decoded", limit=jobs)
