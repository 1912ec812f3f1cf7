import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from model_store.spec import ImageShape, ModelSpec, Residual
from model_store.vae import VAE
from training.data.images import Images
from training.fitting.trainer import initialise
from training.runs.sheets import FIRST_S, Sheets, in_pairs_of_rows, sheet_png


class Clock:
    """A clock that a test sets."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_sheets_are_drawn_within_the_first_minute_and_later_ones_less_often(
    tmp_path: Path, vae: VAE, images: Images
):
    clock = Clock()
    sheets = Sheets(tmp_path, images, clock)
    drawn_s = []
    for second in range(1, 301):
        clock.now_s = 1000.0 + second
        sheets.draw_in_epoch(vae)
        for path in tmp_path.glob("samples.png"):
            drawn_s.append(second)
            path.unlink()
    assert drawn_s == [FIRST_S, 60, 140, 300]


def test_both_sheets_are_drawn_after_an_epoch_but_not_twice_in_a_second(
    tmp_path: Path, vae: VAE, images: Images
):
    clock = Clock()
    sheets = Sheets(tmp_path, images, clock)
    sheets.draw_after_epoch(vae)
    assert list(tmp_path.iterdir()) == []
    clock.now_s += 1
    sheets.draw_after_epoch(vae)
    assert {path.name for path in tmp_path.iterdir()} == {"samples.png", "reconstructions.png"}


def test_samples_have_fixed_seeds_and_drawing_changes_neither_mode_nor_random_state(
    tmp_path: Path, images: Images
):
    spec = ModelSpec(network=Residual(channels=(4, 8), hidden=8, batch_norm=True), latent=3)
    vae = initialise(spec, seed=0).train()
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    random = torch.get_rng_state()
    sheets = Sheets(tmp_path, images)
    contents = []
    for _ in range(2):
        sheets.draw(vae)
        contents.append([path.read_bytes() for path in sorted(tmp_path.iterdir())])
    assert contents[0] == contents[1]
    assert vae.training
    assert all(torch.equal(before[name], tensor) for name, tensor in vae.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_a_sheet_of_colour_images_shows_each_pixel_enlarged():
    images = torch.zeros(3, 3, 16, 16)
    images[1, 0] = 1.0
    with Image.open(io.BytesIO(sheet_png(images))) as sheet:
        factor = 64 // 16
        assert sheet.size == (factor * (3 * 18 + 2), factor * 20)
        assert sheet.getpixel((factor * (18 + 5), factor * 5)) == (255, 0, 0)
        assert sheet.getpixel((factor * 5, factor * 5)) == (0, 0, 0)


def test_reconstructions_stand_below_their_originals():
    numbers = torch.arange(11.0)
    rows = in_pairs_of_rows(numbers, -numbers)
    assert rows.tolist() == [*range(8), *(-n for n in range(8)), 8, 9, 10, -8, -9, -10]


def test_a_data_set_of_few_images_has_a_short_sheet(tmp_path: Path, images: Images):
    spec = ModelSpec(network=Residual(channels=(4,), hidden=8), latent=2, image=ImageShape())
    Sheets(tmp_path, images.first(2)).draw(initialise(spec, seed=0))
    with Image.open(tmp_path / "reconstructions.png") as sheet:
        assert sheet.size == (2 * (2 * 30 + 2), 2 * (2 * 30 + 2))


@pytest.mark.parametrize("name", ["samples.png", "reconstructions.png"])
def test_a_file_in_the_way_is_an_error_of_the_disk(
    tmp_path: Path, vae: VAE, images: Images, name: str
):
    (tmp_path / name).mkdir()
    with pytest.raises(OSError, match=name):
        Sheets(tmp_path, images).draw(vae)
