"""The transport sends requests, repeats them, and turns failed connections into exceptions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from typing import TypeVar

import httpx

from zserve_client._requests import Request
from zserve_client._responses import Reply, check
from zserve_client._retry import NO_RETRIES, RetryPolicy
from zserve_client._setup import check_headers, check_url, explain_setup
from zserve_client._steps import Finished, Steps, advance
from zserve_client.errors import InputError, NoAnswerError, UnavailableError

T = TypeVar("T")
POLL_INTERVAL_S = 0.25


class AsyncTransport:
    """Sends requests to one service.

    Args:
        url: Address of the service.
        policy: When to repeat a request.
        timeout_s: Longest wait for a connection or for more bytes, in seconds.
        headers: Headers of every request.
        http: Transport of httpx that sends the requests; by default a network connection.
        sleep: Waits for a number of seconds.
        clock: Returns a monotonic time in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: RetryPolicy,
        timeout_s: float = 60.0,
        headers: Mapping[str, str] | None = None,
        http: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = check_url(url)
        self._policy = policy
        self._sleep = sleep
        self._clock = clock
        check_headers(headers or {})
        with explain_setup():
            self._http = httpx.AsyncClient(
                base_url=self._url, timeout=timeout_s, headers=headers, transport=http
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, request: Request) -> Reply:
        """Return the reply to a request; raises ProblemError, NoAnswerError and InputError."""
        return check(await self.exchange(request))

    async def exchange(self, request: Request) -> Reply:
        """Return the reply to a request, also if it is an error.

        Raises NoAnswerError, and InputError if the request cannot be sent at all.
        """
        policy = self._policy if request.retry else NO_RETRIES
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = await self._send_once(request)
                wait_s = policy.after_reply(attempt, reply.status, reply.headers)
                if wait_s is None:
                    return reply
            except (httpx.LocalProtocolError, httpx.InvalidURL) as error:
                raise InputError(f"the request cannot be sent: {error}") from error
            except httpx.HTTPError as error:
                wait_s = policy.after_error(attempt, error)
                if wait_s is None:
                    raise _no_answer(self._url, error) from error
            await self._sleep(wait_s)

    async def run(self, steps: Steps[T]) -> T:
        """Send each request of an operation, and return its result.

        With asyncio, the code between requests runs in a thread, since it may write many files.
        """
        reply: Reply | None = None
        with closing(steps):
            while True:
                step = await asyncio.to_thread(advance, steps, reply)
                if isinstance(step, Finished):
                    return step.result
                reply = await self.exchange(step)

    async def poll(self, request: Request, timeout_s: float) -> Reply:
        """Repeat a request until it succeeds; raises the last error after `timeout_s`."""
        deadline = self._clock() + timeout_s
        while True:
            try:
                return await self.send(request)
            except (NoAnswerError, UnavailableError):
                if self._clock() + POLL_INTERVAL_S > deadline:
                    raise
            await self._sleep(POLL_INTERVAL_S)

    async def _send_once(self, request: Request) -> Reply:
        options = {
            "params": dict(request.params),
            "files": list(request.files) or None,
            "json": request.json,
        }
        async with self._http.stream(request.method, request.path, **options) as response:
            if request.save_to is None or response.is_error:
                content = await response.aread()
            else:
                content = b""
                with request.save_to.open("wb") as file:
                    async for chunk in response.aiter_bytes():
                        file.write(chunk)
            return Reply(request.path, response.status_code, response.headers, content)


def _no_answer(url: str, error: httpx.HTTPError) -> NoAnswerError:
    """Return the exception for a request without a reply."""
    if isinstance(error, httpx.ReadTimeout):
        return NoAnswerError(f"{url} did not answer in time; a longer timeout_s may help")
    reason = str(error) or type(error).__name__
    return NoAnswerError(
        f"no answer from {url} ({reason}); is the server running? `zserve serve` starts one"
    )
