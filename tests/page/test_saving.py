"""Saving pictures while the service is gone."""

import io
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from model_store.store import SHIPPED
from tests.e2e.server import serving
from tests.page.visitor import Visitor

NAMES = ["lab", "notebook", "digits", "fashion", "fashion-flow"]
"""One more than the versions that the page keeps ready."""


@pytest.fixture
def stoppable(browser: Browser, tmp_path: Path) -> Iterator[tuple[Visitor, ExitStack]]:
    """Open a tab on a server of its own, which closing the stack stops."""
    store = tmp_path / "store"
    for name in NAMES:
        shutil.copytree(SHIPPED / name, store / name)
    with ExitStack() as server:
        address = server.enter_context(serving(store, tmp_path / "log", ZSERVE_MODEL="lab"))
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        context.set_default_timeout(60_000)
        yield Visitor(context.new_page(), address, []), server
        context.close()


def pixels(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"))


def test_a_picture_is_saved_after_the_service_has_stopped(
    stoppable: tuple[Visitor, ExitStack],
) -> None:
    visitor, server = stoppable
    visitor.open("#generate?n=4&seed=7")

    def save_first() -> Path:
        visitor.tiles.first.click()
        with visitor.page.expect_download() as download:
            visitor.page.get_by_role("menuitem", name="Save PNG").click()
        return Path(download.value.path())

    before = pixels(save_first())
    server.close()
    np.testing.assert_array_equal(pixels(save_first()), before)


_DECODED_TWICE = """async (z) => {
    const { openCatalogue } = await import("/static/js/models.js");
    const { openDecoder } = await import("/static/js/decoding.js");
    const { fileOf } = await import("/static/js/saving.js");
    const model = await (await openCatalogue()).version("lab@4");
    const decoder = await (await openDecoder(model)).ready;
    window.decodeAgain = async () => {
        const request = { path: "decode", query: { model: "lab@4" }, json: { z: [z] } };
        const file = await fileOf(request, { model });
        const { bitmapOf, pixelsOf } = await import("/static/js/pictures.js");
        const saved = pixelsOf(await bitmapOf(file)).data.filter((_, i) => i % 4 === 0);
        const [picture] = await decoder.decode([z]);
        return { saved: Array.from(saved), picture: Array.from(picture) };
    };
    return { local: decoder.local, ...await window.decodeAgain() };
}"""


def test_the_page_decodes_and_saves_a_latent_after_the_service_has_stopped(
    stoppable: tuple[Visitor, ExitStack],
) -> None:
    visitor, server = stoppable
    visitor.open()
    before = visitor.page.evaluate(_DECODED_TWICE, [0.25] * 20)
    assert before["local"]
    server.close()
    after = visitor.page.evaluate("decodeAgain()")
    assert after["picture"] == after["saved"] == before["saved"] == before["picture"]


_OPENED_ONE_AFTER_THE_OTHER = """async (names) => {
    const { openCatalogue } = await import("/static/js/models.js");
    const { openDecoder } = await import("/static/js/decoding.js");
    const catalogue = await openCatalogue();
    const decoders = [];
    for (const name of names) {
        const model = await catalogue.version(catalogue.reference(name));
        const decoder = await (await openDecoder(model)).ready;
        decoders.push([decoder, new Array(model.latent).fill(0.5)]);
    }
    window.decodeAll = () => Promise.all(decoders.map(async ([decoder, z]) => Array.from((await decoder.decode([z]))[0])));
    return { local: decoders.map(([decoder]) => decoder.local), pictures: await window.decodeAll() };
}"""


def test_weights_that_were_loaded_once_need_no_service(
    stoppable: tuple[Visitor, ExitStack],
) -> None:
    visitor, server = stoppable
    visitor.open()
    before = visitor.page.evaluate(_OPENED_ONE_AFTER_THE_OTHER, NAMES)
    assert before["local"] == [True] * len(NAMES)
    server.close()
    assert visitor.page.evaluate("decodeAll()") == before["pictures"]
