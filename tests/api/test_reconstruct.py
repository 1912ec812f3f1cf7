import base64
import io
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app.settings import Settings
from model_store.preprocessing import from_bytes
from model_store.spec import ModelRef
from model_store.store import Store
from model_store.vae import build_vae, kl_to_standard_normal
from tests.api.service import Service, digit, parameters, pixels, png, problem, started, tiles


def form(*contents: bytes, field: str = "image") -> dict[str, Any]:
    return {"files": [(field, ("digit.png", content, "image/png")) for content in contents]}


def raw(content: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": kind}}


def test_two_rows_show_the_prepared_uploads_and_their_reconstructions(service: Service) -> None:
    grid = pixels(service.post("/reconstruct", **form(digit(0), digit(9), digit(20))))
    assert grid.shape == (2 + 2 * 30, 2 + 3 * 30)
    seen = tiles(grid)[:3]
    assert all(image.max() > 225 for image in seen)
    assert all(image[0].max() == 0 for image in seen)


@pytest.mark.parametrize(("kind", "media"), [("PNG", "image/png"), ("JPEG", "image/jpeg")])
def test_a_body_that_is_an_image_gives_the_same_answer_as_a_form(
    service: Service, kind: str, media: str
) -> None:
    content = digit(5, kind)
    sent_raw = service.post("/reconstruct", **raw(content, media))
    assert pixels(sent_raw).shape == (62, 32)
    assert sent_raw.content == service.post("/reconstruct", **form(content)).content


def test_an_image_gives_the_same_bytes_alone_and_with_others(service: Service) -> None:
    together = tiles(pixels(service.post("/reconstruct", **form(digit(0), digit(9), digit(20)))))
    single = tiles(pixels(service.post("/reconstruct", **form(digit(9)))))
    assert np.array_equal(single[0], together[1])
    assert np.array_equal(single[1], together[4])


def test_headers_and_text_chunk_name_the_model_and_no_seed(service: Service) -> None:
    answer = service.post("/reconstruct?model=mnist@2", **raw(digit()))
    assert answer.headers["x-model"] == parameters(answer)["model"] == "mnist@2"
    assert "x-seed" not in answer.headers


def test_the_numbers_equal_those_of_the_model_itself(service: Service) -> None:
    answer = service.post("/reconstruct?format=json", **form(digit(0), digit(9)))
    seen = tiles(pixels(service.post("/reconstruct", **form(digit(0), digit(9)))))
    assert len(answer.json()["images"]) == 2
    stored = Store(service.app.state.settings.store).load(ModelRef.parse("mnist@1"))
    vae = build_vae(stored.spec, stored.weights)
    for image, tile in zip(answer.json()["images"], seen, strict=False):
        x = torch.from_numpy(from_bytes(tile))[None, None]
        mu, logvar = vae.encode(x)
        bce_nats = -vae.log_likelihood(x, vae.decode(mu))
        assert image["mu"] == pytest.approx(mu[0].tolist(), abs=1e-5)
        assert image["logvar"] == pytest.approx(logvar[0].tolist(), abs=1e-5)
        assert image["bce_nats"] == pytest.approx(bce_nats.item(), rel=1e-5)
        assert image["kl_nats"] == pytest.approx(kl_to_standard_normal(mu, logvar).item(), rel=1e-4)
        shown = Image.open(io.BytesIO(base64.b64decode(image["input"])))
        assert np.array_equal(np.asarray(shown), tile)


def test_preprocess_none_leaves_an_image_unchanged(service: Service) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    grid = pixels(service.post("/reconstruct?preprocess=none", **raw(png(noise))))
    assert np.array_equal(tiles(grid)[0], noise)


def png_header(width: int, height: int) -> bytes:
    """A PNG of which nothing but the header is there."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    whole = png(np.zeros((1, 1), np.uint8))
    header = b"IHDR" + size + whole[24:29]
    return whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:]


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (raw(b"hello"), 415, "not-an-image"),
        (raw(digit()[:60]), 422, "corrupt-image"),
        (raw(digit(0, "JPEG")[:300], "image/jpeg"), 422, "corrupt-image"),
        (raw(b""), 422, "empty-image"),
        ({}, 422, "wrong-field"),
        (raw(digit(), "text/plain"), 415, "unsupported-body"),
        (raw(digit(), "application/x-www-form-urlencoded"), 415, "unsupported-body"),
        ({"content": digit()}, 415, "unsupported-body"),
        (form(b""), 422, "empty-image"),
        (form(b"hello"), 415, "not-an-image"),
        (form(digit(), b"hello"), 415, "not-an-image"),
        (form(digit(), field="img"), 422, "wrong-field"),
        ({"files": {"image": (None, "text")}}, 422, "wrong-field"),
        (raw(b"x", "multipart/form-data"), 400, "malformed-body"),
        (raw(b"--x\r\n\r\n", "multipart/form-data; boundary=x"), 400, "malformed-body"),
        (raw(b"y" * 99, "multipart/form-data; boundary=x"), 400, "malformed-body"),
        (form(*[b""] * 257), 422, "limit-exceeded"),
        (raw(png_header(7500, 7500)), 413, "too-many-pixels"),
        (form(*[png_header(6000, 6000)] * 3), 413, "too-many-pixels"),
        (raw(bytes(20 * 1024 * 1024 + 1)), 413, "body-too-large"),
        (form(bytes(20 * 1024 * 1024 + 1)), 413, "body-too-large"),
        (raw(png(np.full((50, 50), 200, np.uint8))), 422, "blank-image"),
    ],
)
def test_an_invalid_body_is_refused_before_anything_is_computed(
    service: Service, computed: list[int], body: dict[str, Any], status: int, slug: str
) -> None:
    assert problem(service.post("/reconstruct", **body), status, slug)["remedy"]
    assert computed == []


def test_an_error_names_the_image_it_concerns(service: Service) -> None:
    answer = service.post("/reconstruct", **form(digit(), digit(), b"hello"))
    assert problem(answer, 415, "not-an-image")["detail"].startswith("image 3: ")


def test_preprocess_none_refuses_images_of_another_size(
    service: Service, computed: list[int]
) -> None:
    answer = service.post("/reconstruct?preprocess=none", **raw(digit()))
    assert "28x28" in problem(answer, 422, "wrong-size")["detail"]
    assert computed == []


def test_bodies_without_a_length_are_counted_while_they_arrive(store: Any) -> None:
    async def endless(start: bytes = b"") -> Any:
        yield start
        for _ in range(1000):
            sent.append(1)
            yield bytes(1000)

    sent: list[int] = []
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    form_body = raw(endless(part), "multipart/form-data; boundary=x")
    with started(Settings(store=store, max_body_bytes=5000, max_upload_bytes=5000)) as service:
        answer = service.post("/reconstruct", **raw(endless()))
        assert problem(answer, 413, "body-too-large")["limit"] == 5000
        problem(service.post("/reconstruct", **form_body), 413, "body-too-large")
        json_body = {"content": endless(), "headers": {"Content-Type": "application/json"}}
        answer = service.request("PUT", "/models/mnist/aliases/production", **json_body)
        problem(answer, 413, "body-too-large")
    assert len(sent) < 30


def test_the_method_must_be_post(service: Service) -> None:
    answer = service.get("/reconstruct")
    assert problem(answer, 405, "method-not-allowed")["remedy"] == "use POST"
    assert answer.headers["allow"] == "POST"
