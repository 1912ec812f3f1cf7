"""Generate: seeds, labels, temperature, the menu of a tile, copying and saving."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.page.visitor import Visitor, run_in_a_shell


def test_each_tile_shows_its_seed(visitor: Visitor) -> None:
    visitor.open("#generate?n=8&seed=40")
    assert visitor.captions() == [f"seed {seed}" for seed in range(40, 48)]


def test_number_seed_temperature_and_label_are_in_the_address(visitor: Visitor) -> None:
    visitor.open("#generate")
    visitor.choose("Images", "4")
    visitor.type("Seed", "99")
    visitor.choose("Label", "7")
    visitor.shown.get_by_role("slider").fill("0.5")
    visitor.settled()
    for parameter in ("n=4", "seed=99", "label=7", "temperature=0.5"):
        assert parameter in visitor.state
    assert visitor.captions() == ["seed 99", "seed 100", "seed 101", "seed 102"]


def test_new_samples_have_another_seed(visitor: Visitor) -> None:
    visitor.open("#generate")
    before = visitor.captions()
    visitor.click("New samples")
    assert visitor.captions() != before


def test_a_reopened_address_shows_the_same_pixels(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=11&label=3&temperature=0.8")
    before = visitor.pixels(".tiles img")
    visitor.open(visitor.state)
    assert visitor.pixels(".tiles img") == before


def test_the_menu_of_a_tile_copies_z_saves_the_file_and_reuses_the_seed(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=20")
    tile = visitor.tiles.nth(2)
    visitor.menu(tile, "Copy z")
    visitor.page.get_by_text("z copied").wait_for()
    assert len(json.loads(visitor.page.evaluate("navigator.clipboard.readText()"))) == 32
    tile.click()
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("menuitem", name="Save PNG").click()
    content = Path(download.value.path()).read_bytes()
    alone = visitor.page.request.get(f"{visitor.address}/generate?model=mnist@11&n=1&seed=22")
    assert content == alone.body()
    visitor.menu(tile, "Start from this seed")
    assert visitor.captions()[0] == "seed 22"


@pytest.mark.parametrize(
    ("action", "part", "parameter"),
    [
        ("Reconstruct", "draw", "image=iVBOR"),
        ("Interpolate from here", "interpolate", "a=seed:21"),
        ("Interpolate to here", "interpolate", "b=seed:21"),
        ("Traverse from here", "traverse", "z="),
    ],
)
def test_an_image_can_be_opened_in_another_part(
    visitor: Visitor, action: str, part: str, parameter: str
) -> None:
    visitor.open("#generate?n=4&seed=20")
    visitor.menu(visitor.tiles.nth(1), action)
    assert visitor.state.startswith(f"#{part}?")
    assert parameter in visitor.state


def test_a_sample_of_a_label_is_opened_as_an_image_and_not_by_its_seed(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=20&label=5")
    sent = visitor.pixels(".tiles img")[0]
    visitor.menu(visitor.tiles.nth(0), "Interpolate from here")
    assert "a=png:" in visitor.state
    assert visitor.pixels(".slot img")[0] == sent


def test_the_menu_of_a_tile_can_be_used_by_keyboard(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=20")
    visitor.tiles.nth(3).focus()
    visitor.page.keyboard.press("Enter")
    assert visitor.page.evaluate("document.activeElement.textContent") == "Start from this seed"
    visitor.page.keyboard.press("Escape")
    assert visitor.page.evaluate("document.activeElement.dataset.seed") == "23"
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("ArrowDown")
    visitor.page.keyboard.press("Enter")
    visitor.settled()
    assert visitor.state.startswith("#draw?")


def test_a_copied_curl_gives_the_same_bytes(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open("#generate?n=4&seed=7&label=2&temperature=0.9")
    saved = visitor.saved("Save PNG").read_bytes()
    command = visitor.copied("Copy as curl")
    run_in_a_shell(command, tmp_path)
    [made] = tmp_path.iterdir()
    assert made.read_bytes() == saved


def test_copied_python_gives_the_same_bytes(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open("#generate?n=4&seed=7&label=2&temperature=0.9")
    saved = visitor.saved("Save PNG").read_bytes()
    code = visitor.copied("Copy as Python")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    [made] = tmp_path.iterdir()
    assert made.read_bytes() == saved


def test_a_copied_link_is_the_address(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=7")
    link = visitor.copied("Copy link")
    assert link == f"{visitor.address}/{visitor.state}"
