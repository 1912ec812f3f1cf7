"""Write a zip of PNGs with a table of their metadata, piece by piece."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from zlib import crc32

from app.api.result import ImageFiles, OutputOptions
from app.imaging.grid import enlarge
from app.imaging.png import encode_png
from app.imaging.zip import ZipWriter, csv_lines


class ImageArchive:
    """Write images as PNG files, then manifest.csv, then parameters.json unless metadata=false.

    Only the lines of manifest.csv stay in memory.
    """

    def __init__(self, fields: Sequence[str], latent: int, output: OutputOptions) -> None:
        self._zip = ZipWriter()
        self._output = output
        self._manifest = [csv_lines([["file", *fields, *(f"z{i}" for i in range(latent))]])]

    def add(self, files: ImageFiles) -> bytes:
        """Return the bytes of some image files.

        A decoded image becomes byte for byte the PNG that its parameters give when requested alone.
        """
        contents, rows = [], []
        for entry, levels in zip(files.entries, files.images, strict=True):
            parameters = entry.parameters if self._output.metadata else None
            png = encode_png(enlarge(levels, self._output.scale), parameters)
            contents.append(self._zip.add(entry.name, png))
            z = () if entry.z is None else map(str, entry.z)
            rows.append([entry.name, *entry.fields.values(), *z])
        self._manifest.append(csv_lines(rows))
        return b"".join(contents)

    def close(self, parameters: Mapping[str, object]) -> Iterator[bytes]:
        """Return the rest of the archive; `parameters` reproduce all of it."""
        size = sum(map(len, self._manifest))
        checksum = reduce(lambda crc, part: crc32(part, crc), self._manifest, 0)
        yield self._zip.start_file("manifest.csv", size, checksum)
        yield from self._manifest
        if self._output.metadata:
            yield self._zip.add("parameters.json", json.dumps(dict(parameters)).encode())
        yield self._zip.close()
