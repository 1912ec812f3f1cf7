"""The models of a store for the tools of `zserve mcp`, loaded in this process."""

import asyncio
import os
from collections import OrderedDict
from pathlib import Path

from app.api.mcp_images import decode_base64, no_image, read_manifests, read_samples
from app.inference.direct import DirectFunctions
from app.inference.loaded_model import LoadedModel
from app.typing import Bytes
from model_store.spec import Manifest, ModelRef
from model_store.store import open_store
from zserve.arrays import prepare_files
from zserve.vae import load

_MOST_LOADED = 4
_LARGEST_FILE = 20 * 1024 * 1024
"""Bytes of the largest image file that is read."""


class LocalModels:
    """Models of a store; the least recently used are dropped.

    `files` is the folder whose image files may be read, or None.
    """

    def __init__(self, store: str | None, *, default: str, files: Path | None) -> None:
        self._location = store or os.environ.get("ZSERVE_STORE") or None
        self._store = open_store(self._location)
        self._default = ModelRef.parse(default)
        self._files = None if files is None else files.resolve()
        self._functions = DirectFunctions()
        self._loaded: OrderedDict[ModelRef, LoadedModel] = OrderedDict()

    @property
    def functions(self) -> DirectFunctions:
        """Return what computes, in the thread of the caller."""
        return self._functions

    def check_default(self) -> None:
        """Raise StoreError if there is no default model."""
        self._store.resolve(self._default)

    async def get(self, reference: str | None) -> LoadedModel:
        """Return a model; aliases are resolved each time."""
        ref = self._default if reference is None else ModelRef.parse(reference)
        target = self._store.resolve(ref)
        if target not in self._loaded:
            vae = await asyncio.to_thread(load, str(target), store=self._location)
            self._loaded[target] = vae.model
        self._loaded.move_to_end(target)
        while len(self._loaded) > _MOST_LOADED:
            self._loaded.popitem(last=False)
        return self._loaded[target]

    async def manifests(self) -> list[Manifest]:
        """Return the manifest of every model, that of the default model first."""
        return read_manifests(self._store, self._default.name)

    async def samples(self, manifest: Manifest) -> bytes | None:
        """Return the published figure of samples."""
        return read_samples(self._store, manifest.ref)

    async def prepare(self, image: str, model: LoadedModel) -> Bytes:
        """Read an image, base64 or the path of a file in the folder that may be read."""
        path = self._file(image)
        content = decode_base64(image) if path is None else path.read_bytes()
        return prepare_files([content], model.manifest.spec)

    def _file(self, text: str) -> Path | None:
        """Return the file that a text names, if it may be read; raises ParameterError."""
        if self._files is None or len(text) > 1000:
            return None
        path = (self._files / text).resolve()
        if not path.is_relative_to(self._files) or not path.is_file():
            return None
        if path.stat().st_size > _LARGEST_FILE:
            raise no_image(f"{path.name} has more than {_LARGEST_FILE} bytes")
        return path
