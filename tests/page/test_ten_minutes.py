"""docs/vae-in-ten-minutes.md: its links open views of the page, and its captions are those of the scenes."""

import json
import re
from urllib.parse import parse_qsl

import pytest

from tests.docs.pages import links, read
from tests.e2e.server import CHECKOUT
from tests.page.visitor import Visitor

PAGE = "docs/vae-in-ten-minutes.md"
HERE = "http://localhost:8000/"
ADDRESSES = [target.removeprefix(HERE) for target in links(PAGE) if target.startswith(HERE)]
SCENES = json.loads((CHECKOUT / "app/web/scenes.json").read_text(encoding="utf-8"))["scenes"]


def test_each_scene_is_quoted_and_linked_once_in_its_order() -> None:
    quotes = re.findall(r"(?:^> .*\n)+", read(PAGE), re.MULTILINE)
    captions = [" ".join(quote.replace("> ", "").split()) for quote in quotes]
    assert captions == [scene["caption"] for scene in SCENES]
    linked = [address for address in ADDRESSES if address in {s["address"] for s in SCENES}]
    assert linked == [scene["address"] for scene in SCENES]


@pytest.mark.parametrize("link", ADDRESSES, ids=lambda link: link[:40])
def test_each_link_is_accepted_by_the_page(visitor: Visitor, link: str) -> None:
    visitor.open(link)
    assert visitor.page.locator("#problem").is_hidden()
    part, _, query = link.removeprefix("#").partition("?")
    shown, _, kept = visitor.state.removeprefix("#").partition("?")
    assert shown == part
    values = dict(parse_qsl(kept))
    for name, value in parse_qsl(query):
        pinned = re.sub(r"@production", r"@\\d+", re.escape(value).replace(r"\@", "@"))
        assert re.fullmatch(pinned, values[name]), f"{name}={value} became {values[name]}"
