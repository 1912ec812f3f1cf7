"""One hostile input: what is sent, and the documented answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A request and its answer.

    Attributes:
        name: File name within the folder of the family, with a suffix that tells what it holds.
        content: Bytes of the file: a body, a whole request, or a change of a manifest.
        status: HTTP status of the answer; 0 if the connection is closed without an answer.
        problem: Last part of the problem's type; empty if the answer is no problem, or in another
            form, as under /v2.
        target: Path and query; for a file of a version, the model and the file that it replaces.
        content_type: Value of Content-Type, if the file is a body.
        headers: Other headers, if the file is a body.
    """

    name: str
    content: bytes
    status: int
    problem: str = ""
    target: str = "/reconstruct"
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
