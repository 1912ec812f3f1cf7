"""ETags of seeded answers, and conditional requests; see test_exact_versions for immutable ones."""

import pytest

from tests.api.service import Service, problem

PATH = "/generate?n=2&seed=7"


def test_a_client_with_the_current_etag_gets_304_and_nothing_is_computed(
    service: Service, computed: list[int]
) -> None:
    first = service.get(PATH)
    assert first.headers["etag"].startswith('"')
    computed.clear()
    again = service.get(PATH, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert "content-type" not in again.headers
    for name in ("etag", "cache-control", "vary", "x-seed", "x-model"):
        assert again.headers[name] == first.headers[name]
    assert computed == []


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [
        ("{}", 304),
        ("W/{}", 304),
        ('"other", {}', 304),
        ('"with, comma",W/{} , "last"', 304),
        ("*", 304),
        ('"other"', 200),
        ("", 200),
        ("nonsense", 200),
        ('"*"', 200),
    ],
)
def test_if_none_match_is_parsed_as_in_rfc_9110(
    service: Service, if_none_match: str, status: int
) -> None:
    tag = service.get(PATH).headers["etag"]
    answer = service.get(PATH, headers={"If-None-Match": if_none_match.replace("{}", tag)})
    assert answer.status_code == status


def test_every_parameter_that_changes_the_bytes_changes_the_etag(service: Service) -> None:
    others = (
        *("n=3", "seed=8", "temperature=0.5", "columns=1", "model=other", "model=mnist@2"),
        *("format=json", "format=zip", "format=npz", "scale=2", "metadata=false"),
        "format=json&pixels=true",
    )
    tags, contents = set(), set()
    for other in others:
        name = other.partition("=")[0]
        kept = [part for part in ("n=2", "seed=7") if not part.startswith(f"{name}=")]
        answer = service.get(f"/generate?{'&'.join([*kept, other])}")
        assert answer.status_code == 200
        tags.add(answer.headers["etag"])
        contents.add(answer.content)
    first = service.get(PATH)
    assert len(tags | {first.headers["etag"]}) == len(contents | {first.content})
    assert len(contents) == len(others)


def test_requests_for_the_same_bytes_have_the_same_etag(service: Service) -> None:
    same = ("", "&temperature=1.0", "&model=mnist", "&model=mnist@1", "&columns=2", "&format=png")
    assert len({service.get(PATH + end).headers["etag"] for end in same}) == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("seed=7", "no-cache"),
        ("seed=7&model=mnist", "no-cache"),
        ("seed=7&model=mnist@production", "no-cache"),
        ("seed=7&model=mnist@1", "no-cache"),
        ("n=1", "no-store"),
    ],
)
def test_a_float_version_with_a_seed_is_cached_by_its_etag(
    service: Service, query: str, expected: str
) -> None:
    answer = service.get(f"/generate?{query}")
    assert answer.headers["cache-control"] == expected
    assert ("etag" in answer.headers) == ("seed" in query)


def test_a_post_has_no_etag_and_is_always_answered(service: Service) -> None:
    tag = service.get(PATH).headers["etag"]
    answer = service.post(PATH, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert "etag" not in answer.headers


def test_an_invalid_request_is_an_error_even_if_any_etag_matches(service: Service) -> None:
    problem(
        service.get("/generate?seed=7&n=0", headers={"If-None-Match": "*"}), 422, "limit-exceeded"
    )
