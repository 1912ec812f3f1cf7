"""Answers to requests that are refused before they reach the app, as problems, RFC 9457."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.api.problems import MEDIA_TYPE, PROBLEMS, ProblemType, find_remedy
from app.api.security_headers import SECURITY_HEADERS
from app.errors import ServiceError


@dataclass(frozen=True)
class Refusal:
    """The error of a connection, and the answer to it."""

    error: ServiceError
    retry_after_s: int
    root_path: str = ""

    @property
    def kind(self) -> ProblemType:
        """The type of the problem."""
        return PROBLEMS[type(self.error)]

    def answer(self, headers: Iterable[tuple[bytes, bytes]], request_id: str) -> bytes:
        """Return the whole answer; its last header closes the connection."""
        body = self._body(request_id)
        lines = [
            *(header for header in headers if header[0] != b"connection"),
            *SECURITY_HEADERS,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        if self.kind.status == 503:
            lines.append((b"retry-after", str(self.retry_after_s).encode()))
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        return b"".join((STATUS_LINE[self.kind.status], head, b"\r\n", body))

    def _body(self, request_id: str) -> bytes:
        """Return the problem as JSON, without `instance`: the path may not have arrived."""
        problem = {
            "type": self.root_path + self.kind.uri,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": str(self.error),
            "request_id": request_id,
            "limit": self.error.limit,
            "remedy": find_remedy(self.error),
        }
        present = {key: value for key, value in problem.items() if value is not None}
        return json.dumps(present, separators=(",", ":")).encode()


def new_request_id() -> str:
    """Return a request id, as `RequestContextMiddleware` chooses one."""
    return secrets.token_hex(8)
