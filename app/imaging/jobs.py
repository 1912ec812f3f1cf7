"""Decoding jobs: what is done with the files of one request, as values that processes exchange."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from app import errors
from app.errors import LimitError, ServiceError, UploadError
from app.imaging.decode import PixelLimits, decode_pixels, errors_named, open_uploads
from app.imaging.lossless import read_levels
from app.typing import Bytes, Upload
from model_store import errors as store_errors
from model_store.errors import ImageError
from model_store.preprocessing import Preprocess, prepare, to_bytes
from model_store.spec import ModelSpec

Refusal = UploadError | LimitError | ImageError


class AbandonedError(Exception):
    """The result of a job is no longer wanted."""


class PrepareJob(BaseModel):
    """Bring each image to the form of a model's training images."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["prepare"] = "prepare"
    spec: ModelSpec
    preprocess: Preprocess
    limits: PixelLimits

    def run(self, uploads: Sequence[Upload], abandoned: Callable[[], bool]) -> Bytes:
        """Return the prepared images, (uploads, channels, height, width), in 0..255.

        The headers of all files are checked before the first is decoded. Raises UploadError and
        ImageError, which name the upload, and AbandonedError between two images.
        """
        levels = []
        for upload, image in zip(uploads, open_uploads(uploads, self.limits), strict=True):
            if abandoned():
                raise AbandonedError
            with errors_named(upload):
                levels.append(to_bytes(prepare(decode_pixels(image), self.spec, self.preprocess)))
        return np.stack(levels)


class LevelsJob(BaseModel):
    """Read images whose grey levels must all be kept."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["levels"] = "levels"
    spec: ModelSpec
    max_pixels: int
    most_images: int

    def run(self, uploads: Sequence[Upload], abandoned: Callable[[], bool]) -> Bytes:
        """Return the images of all files, (images, channels, height, width).

        Raises UploadError and LimitError, which name the upload, and AbandonedError between two files.
        """
        levels: list[Bytes] = []
        for upload in uploads:
            if abandoned():
                raise AbandonedError
            with errors_named(upload):
                levels.append(
                    read_levels(
                        upload.content,
                        self.spec.image.shape,
                        most_images=self.most_images,
                        max_pixels=self.max_pixels,
                    )
                )
            self._check(sum(map(len, levels)))
        return np.concatenate(levels)

    def _check(self, images: int) -> None:
        if images > self.most_images:
            raise LimitError(
                f"the number of images is {images}, at most {self.most_images} is allowed",
                limit=self.most_images,
                remedy=f"send {self.most_images} or less; the operator can raise "
                "ZSERVE_MAX_COMPRESSED_IMAGES",
            )


DecodingJob = Annotated[PrepareJob | LevelsJob, Field(discriminator="kind")]


class RefusalMessage(BaseModel):
    """An error of a job, as a process sends it."""

    name: str
    detail: str
    limit: float | None = None
    remedy: str | None = None

    @classmethod
    def describe(cls, error: Refusal) -> "RefusalMessage":
        """Return the message of an error."""
        limit, remedy = (
            (error.limit, error.remedy) if isinstance(error, ServiceError) else (None, None)
        )
        return cls(name=type(error).__name__, detail=str(error), limit=limit, remedy=remedy)

    def error(self) -> Refusal:
        """Return the error that the message describes."""
        kind: type[Exception] = getattr(errors, self.name, None) or getattr(store_errors, self.name)
        if issubclass(kind, UploadError | LimitError):
            return kind(self.detail, limit=self.limit, remedy=self.remedy)
        if issubclass(kind, ImageError):
            return kind(self.detail)
        raise TypeError(f"{self.name} is no refusal of an upload")
