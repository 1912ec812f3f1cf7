"""Write zip archives piece by piece."""

import csv
import io
import struct
from collections.abc import Sequence

import deflate


class ZipWriter:
    """Write a zip archive; `add` and `close` return the bytes that come next.

    Files are stored without compression, because PNGs cannot be compressed further. The writer
    keeps only the directory entry of each file, for the directory at the end of the archive.
    Format: PKWARE's APPNOTE, sections 4.3 and 4.5, with ZIP64 records from 65,535 files or 4 GiB
    on.
    """

    # Existing libraries take longer for 128 files of 500 bytes: stream-zip 1.8 ms, zipfile (which
    # cannot stream to an async generator without a buffer) 0.7 ms, this class 0.13 ms.

    _VERSION, _VERSION_64 = 20, 45
    _UTF8 = 1 << 11
    _MIDNIGHT, _FIRST_OF_1980 = 0, (1 << 5) | 1
    _FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF

    def __init__(self) -> None:
        self._directory: list[bytes] = []
        self._written = 0

    def add(self, name: str, content: bytes) -> bytes:
        """Return the bytes of one file, which must be smaller than 4 GiB."""
        return self.start_file(name, len(content), deflate.crc32(content)) + content

    def start_file(self, name: str, size: int, checksum: int) -> bytes:
        """Return the header of a file; the caller sends the `size` bytes of content after it."""
        encoded = name.encode()
        version = self._VERSION if self._written < self._FULL_32 else self._VERSION_64
        fields = struct.pack(
            "<HHHHHIIIHH",
            *(version, self._UTF8, 0, self._MIDNIGHT, self._FIRST_OF_1980),
            *(checksum, size, size, len(encoded)),
            0 if version == self._VERSION else 12,
        )
        extra, offset = b"", self._written
        if version == self._VERSION_64:
            extra, offset = struct.pack("<HHQ", 1, 8, self._written), self._FULL_32
        self._directory.append(
            struct.pack("<IH", 0x02014B50, version)
            + fields
            + struct.pack("<HHHII", 0, 0, 0, 0, offset)
            + encoded
            + extra
        )
        local = struct.pack("<I", 0x04034B50) + fields[:-2] + b"\0\0" + encoded
        self._written += len(local) + size
        return local

    def close(self) -> bytes:
        """Return the directory, which ends the archive."""
        start, files = self._written, len(self._directory)
        directory = b"".join(self._directory)
        large = files >= self._FULL_16 or start + len(directory) >= self._FULL_32
        end_64 = self._end_64(start, len(directory)) if large else b""
        end = struct.pack(
            "<IHHHHIIH",
            *(0x06054B50, 0, 0, *[min(files, self._FULL_16)] * 2),
            *(min(len(directory), self._FULL_32), min(start, self._FULL_32), 0),
        )
        return directory + end_64 + end

    def _end_64(self, start: int, size: int) -> bytes:
        files, version = len(self._directory), self._VERSION_64
        record = struct.pack(
            "<IQHHIIQQQQ", 0x06064B50, 44, version, version, 0, 0, files, files, size, start
        )
        return record + struct.pack("<IIQI", 0x07064B50, 0, start + size, 1)


def csv_lines(rows: Sequence[Sequence[object]]) -> bytes:
    """Encode the rows of a table as CSV, RFC 4180."""
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue().encode()
