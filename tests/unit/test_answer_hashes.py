import io
import json
import zipfile
from itertools import pairwise

from PIL import Image

from scripts.answer_hashes import (
    MODELS,
    Request,
    differences,
    draw_uploads,
    fingerprint,
    model_requests,
    service_requests,
)


def zipped(*, compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a"), b"a" * 100, compression)
    return buffer.getvalue()


def test_every_request_has_a_name_of_its_own():
    uploads = draw_uploads()
    requests = [*service_requests(uploads)]
    for model in MODELS:
        requests += model_requests(model, uploads)
    assert len({request.name for request in requests}) == len(requests) > 900


def test_the_uploads_are_the_same_each_time_and_of_many_modes():
    uploads = draw_uploads()
    assert uploads == draw_uploads()
    modes = {Image.open(io.BytesIO(content)).mode for content in uploads.values()}
    assert modes >= {"RGB", "L", "RGBA", "LA", "P", "I;16", "1", "CMYK"}


def test_a_reworded_error_is_no_difference_and_another_type_is():
    request = Request("x", "GET", "/x")
    headers = {"content-type": "application/problem+json"}

    def problem(kind: str, detail: str) -> dict[str, object]:
        body = json.dumps({"type": kind, "detail": detail}).encode()
        return fingerprint(request, 422, headers, body)

    first = problem("/problems/a", "one way to put it")
    assert first == problem("/problems/a", "another way")
    assert first != problem("/problems/b", "one way to put it")


def test_an_archive_that_is_only_packed_differently_has_the_same_contents():
    request = Request("x", "GET", "/x?format=zip")
    headers = {"content-type": "application/zip"}
    stored, deflated = (
        fingerprint(request, 200, headers, zipped(compression=compression))
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    )
    assert stored["contents"] == deflated["contents"]
    assert stored["sha256"] != deflated["sha256"]
    lines = list(differences({"x": stored}, {"x": deflated}))
    assert [line.split(": ")[1] for line in lines] == ["length", "sha256"]


def test_each_kind_of_change_is_a_line():
    answer = {"status": 200, "headers": {"ETag": "1"}, "sha256": "a"}
    changes = [
        answer,
        {**answer, "status": 404},
        {**answer, "headers": {"ETag": "2"}},
        {**answer, "sha256": "b"},
    ]
    assert list(differences({"x": answer}, {"x": answer})) == []
    assert all(list(differences({"x": a}, {"x": b})) for a, b in pairwise(changes))
    assert list(differences({"x": answer}, {}))
    assert list(differences({}, {"x": answer}))
