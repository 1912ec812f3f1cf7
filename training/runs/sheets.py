"""Sheets of images in a run's folder, which show from the first minute on what is learnt.

`samples.png` has the images of the same latents each time, `reconstructions.png` the same test images
above their reconstructions. The sheets are not published, because reconstructions.png shows images of
the data set.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid  # type: ignore[import-untyped]

from model_store.vae import VAE
from training.data.images import Images

SAMPLES = "samples.png"
RECONSTRUCTIONS = "reconstructions.png"
SAMPLE_IMAGES = 64
RECONSTRUCTED_IMAGES = 16
COLUMNS = 8
SEED = 0
TILE_PIXELS = 64
"""Side in pixels to which images are magnified at most."""
FIRST_S = 20.0
"""Time (s) after which the first sheets of a run are drawn; each later wait is twice as long."""
LONGEST_S = 300.0
SHORTEST_S = 1.0
"""Time (s) between two sheets at the ends of epochs, which may be short."""


class Sheets:
    """The sheets of one run; `clock` returns a monotonic time in seconds."""

    def __init__(
        self, folder: Path, test: Images, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.wait_s = FIRST_S
        self.drawn_s = clock()
        shown = min(RECONSTRUCTED_IMAGES, len(test))
        shown -= shown % COLUMNS if shown > COLUMNS else 0  # rows of one length
        first = torch.arange(shown, device=test.pixels.device)
        self.originals = test.batch(first)

    def draw_in_epoch(self, vae: VAE) -> None:
        """Draw both sheets if the current wait is over: FIRST_S, then twice as long, up to LONGEST_S."""
        if self.clock() - self.drawn_s >= self.wait_s:
            self.wait_s = min(2 * self.wait_s, LONGEST_S)
            self.draw(vae)

    def draw_after_epoch(self, vae: VAE) -> None:
        """Draw unless the last sheets are younger than a second."""
        if self.clock() - self.drawn_s >= SHORTEST_S:
            self.draw(vae)

    @torch.no_grad()
    def draw(self, vae: VAE) -> None:
        """Write both files; raises OSError. The network stays in its mode, training or not."""
        training = vae.training
        vae.eval()
        mu, _ = vae.posterior(self.originals)
        reconstructed = vae.mean_image(vae.logits(mu))
        samples = sample_images(vae)
        vae.train(training)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(SAMPLES, samples)
        pairs = in_pairs_of_rows(self.originals, reconstructed)
        self._write(RECONSTRUCTIONS, pairs, columns=min(COLUMNS, len(reconstructed)))
        self.drawn_s = self.clock()

    def _write(self, name: str, images: Tensor, columns: int = COLUMNS) -> None:
        partial = self.folder / f".{name}.part"
        partial.write_bytes(sheet_png(images, columns))
        partial.replace(self.folder / name)  # a viewer never reads half a file


@torch.no_grad()
def sample_images(vae: VAE) -> Tensor:
    """Decode the same u ~ N(0, I) each time; (SAMPLE_IMAGES, channels, height, width) in [0, 1]."""
    noise = torch.Generator().manual_seed(SEED)
    u = torch.randn((SAMPLE_IMAGES, vae.spec.latent), generator=noise)
    return vae.mean_image(vae.decode(u.to(vae.device)))


def in_pairs_of_rows(originals: Tensor, reconstructed: Tensor) -> Tensor:
    """Order images so that each row of originals is above the row of their reconstructions."""
    rows = zip(torch.split(originals, COLUMNS), torch.split(reconstructed, COLUMNS), strict=True)
    return torch.cat([images for pair in rows for images in pair])


def sheet_png(images: Tensor, columns: int = COLUMNS) -> bytes:
    """Arrange images (images, channels, height, width) in [0, 1] in rows, as PNG."""
    grid = make_grid(images.float().cpu(), nrow=columns, padding=2)
    pixels = grid.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    sheet = Image.fromarray(pixels)
    factor = max(1, TILE_PIXELS // max(images.shape[2:]))
    with io.BytesIO() as file:
        sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST).save(
            file, "png"
        )
        return file.getvalue()
