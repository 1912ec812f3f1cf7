from typing import Any

import numpy as np
import pytest

from tests.api.service import Service, digit, parameters, pixels, problem, tiles


def ends(a: bytes | None = None, b: bytes | None = None) -> dict[str, Any]:
    files = {name: ("x.png", content) for name, content in (("a", a), ("b", b)) if content}
    return {"files": files} if files else {}


def test_a_row_begins_and_ends_with_the_originals_and_their_reconstructions(
    service: Service,
) -> None:
    for path in ("linear", "slerp"):
        answer = service.post(f"/interpolate?steps=5&path={path}", **ends(digit(0), digit(25)))
        row = tiles(pixels(answer))
        assert len(row) == 5 + 2
        for original, frame, slant in ((row[0], row[1], 0), (row[-1], row[-2], 25)):
            seen, reconstruction = tiles(
                pixels(service.post("/reconstruct", files={"image": digit(slant)}))
            )
            assert np.array_equal(original, seen)
            assert np.array_equal(frame, reconstruction)


def test_a_seed_can_be_an_end(service: Service) -> None:
    row = tiles(pixels(service.post("/interpolate?seed_a=3&seed_b=4")))
    assert len(row) == 8 + 2
    for frame, seed in ((row[0], 3), (row[1], 3), (row[-2], 4), (row[-1], 4)):
        assert np.array_equal(frame, pixels(service.get(f"/generate?n=1&seed={seed}")))


def test_an_image_and_a_seed_can_be_mixed(service: Service) -> None:
    row = tiles(pixels(service.post("/interpolate?seed_a=3", **ends(b=digit(9)))))
    back = tiles(pixels(service.post("/interpolate?seed_b=3", **ends(a=digit(9)))))
    assert np.array_equal(row[0], back[-1])
    assert np.array_equal(row[-1], back[0])


def test_the_parameters_in_a_png_reproduce_it(service: Service) -> None:
    first = service.post("/interpolate?seed_a=3&seed_b=4&path=slerp&steps=3&model=other")
    stored = parameters(first)
    names = ("model", "seed_a", "seed_b", "path", "steps")
    again = service.post("/interpolate", params={name: stored[name] for name in names})
    assert again.content == first.content


def test_json_has_every_frame_with_its_latent(service: Service) -> None:
    body = service.post("/interpolate?steps=3&seed_a=3&format=json", **ends(b=digit())).json()
    assert [frame["t"] for frame in body["frames"]] == [0, 0.5, 1]
    z = np.array([frame["z"] for frame in body["frames"]])
    assert np.allclose(z[1], (z[0] + z[2]) / 2, atol=1e-6)
    assert body["a"] == body["frames"][0]["png"]
    assert body["seed_a"] == 3
    assert body["seed_b"] is None


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {}),
        ("seed_a=1", {}),
        ("", ends(a=digit())),
        ("seed_a=1&seed_b=2", ends(a=digit())),
        ("seed_b=2", {"files": [("a", ("x", digit())), ("a", ("y", digit()))]}),
        ("seed_a=1&seed_b=-1", {}),
        ("seed_a=1&seed_b=2&steps=1", {}),
        ("seed_a=1&seed_b=2&steps=255", {}),
        ("seed_a=1&seed_b=2&path=round", {}),
        ("seed_a=1&seed_b=2&format=bmp", {}),
        ("", {"files": {"image": digit()}}),
        ("seed_a=1", ends(b=digit()[:80])),
    ],
)
def test_invalid_ends_are_refused_before_anything_is_computed(
    service: Service, computed: list[int], query: str, body: dict[str, Any]
) -> None:
    answer = service.post(f"/interpolate?{query}", **body)
    assert answer.status_code == 422
    assert answer.json()["remedy"]
    assert computed == []


def test_an_error_names_the_end_it_concerns(service: Service) -> None:
    error = problem(service.post("/interpolate?seed_a=1"), 422, "invalid-parameter")
    assert error["detail"] == "b is missing"
    error = problem(service.post("/interpolate?seed_a=1", **ends(b=b"no")), 415, "not-an-image")
    assert error["detail"].startswith("b 1: ")
