"""Fetch the images of a shard, and write them into a tar file.

    000000012-3.cls    the index of the class, if there is a label
    000000012-3.json   seed, label and latent of the image
    000000012-3.png    the image

The labels alternate, so that a shard that is read in order has each label equally often from the
beginning.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from zserve_client._responses import smaller_count
from zserve_client._shards.plan import Shard
from zserve_client._shards.tar import TarWriter
from zserve_client._steps import Steps
from zserve_client.errors import UnexpectedAnswerError

IMAGES_PER_REQUEST = 1000
Report = Callable[[int], None]
"""Is called with the number of images that have arrived."""


@dataclass(frozen=True)
class Piece:
    """A zip archive of the service with images of one label."""

    path: Path
    count: int


def fetch(
    shard: Shard, folder: Path, report: Report, largest: int = IMAGES_PER_REQUEST
) -> Steps[list[list[Piece]]]:
    """Download the images of a shard into a folder; returns the pieces of each label.

    A piece has `largest` images, or fewer if the service limits their number.
    """
    pieces: list[list[Piece]] = []
    for number, label in enumerate(shard.plan.labels):
        pieces.append([])
        done = 0
        while done < shard.count:
            count = min(largest, shard.count - done)
            path = folder / f"{number}-{done}.zip"
            request = replace(shard.request(label, shard.first + done, count), save_to=path)
            reply = yield request
            if smaller := smaller_count(reply, count):
                largest = smaller
                continue
            _check_weights(shard, reply.headers)
            pieces[-1].append(Piece(path, count))
            done += count
            report(count)
    return pieces


def _check_weights(shard: Shard, headers: Mapping[str, str]) -> None:
    """Raise UnexpectedAnswerError if a replica has other weights under the name of the model."""
    weights = headers.get("x-weights-sha256", "")
    if weights != shard.plan.weights_sha256:
        raise UnexpectedAnswerError(
            f"a replica has other weights as {shard.plan.model} ({weights[:12] or 'none'}, expected "
            f"{shard.plan.weights_sha256[:12]}); give all replicas the same store"
        )


def pack(shard: Shard, pieces: list[list[Piece]], path: Path) -> None:
    """Write a shard to a file; raises UnexpectedAnswerError if an archive is damaged."""
    with ExitStack() as stack, path.open("wb") as file:
        tar = TarWriter(file)
        images = [_images(label, stack) for label in pieces]
        try:
            for i, row in enumerate(zip(*images, strict=True), shard.first):
                for (png, columns), label, class_index in zip(
                    row, shard.plan.labels, shard.plan.class_indices, strict=True
                ):
                    key = shard.key(i, class_index)
                    if class_index is not None:
                        tar.add(f"{key}.cls", str(class_index).encode())
                    tar.add(f"{key}.json", _sample_json(label, columns))
                    tar.add(f"{key}.png", png)
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            reason = f"an archive of the service is damaged: {error}"
            raise UnexpectedAnswerError(reason) from error
        tar.close()


def _images(pieces: list[Piece], stack: ExitStack) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yield the PNG of each image and its line in the manifest; zipfile checks each CRC."""
    for piece in pieces:
        archive = stack.enter_context(zipfile.ZipFile(piece.path))
        with archive.open("manifest.csv") as file:
            lines = list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")))
        if len(lines) != piece.count:
            raise ValueError(f"it has {len(lines)} images instead of {piece.count}")
        for columns in lines:
            yield archive.read(columns["file"]), columns


def _sample_json(label: str | None, columns: Mapping[str, str]) -> bytes:
    latent = [float(value) for name, value in columns.items() if _is_latent(name)]
    document = {"label": label, "seed": int(columns["seed"]), "z": latent}
    return json.dumps(document, separators=(",", ":")).encode()


def _is_latent(column: str) -> bool:
    return column.startswith("z") and column[1:].isdecimal()
