"""Count the scans of a JPEG file: each of them passes over the whole image."""

import re
from collections.abc import Iterator

_SCAN, _END = 0xDA, 0xD9
_SCAN_MARKER = bytes([0xFF, _SCAN])
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Restart markers, and 0xff bytes that are data, belong to the scan."""


def markers(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield code, offset and length of each segment of a JPEG up to its end; ITU-T T.81, B.1.1.

    The offset is that of the two bytes of the length; a segment without a length has the length 0.
    Damaged files yield what can be found in them.
    """
    offset, pattern = 2, _MARKER
    while (match := pattern.search(content, offset)) is not None:
        code, offset = content[match.end() - 1], match.end()
        if code == _END:
            return
        length = 0
        if code not in _WITHOUT_LENGTH:
            length = int.from_bytes(content[offset : offset + 2], "big")
        yield code, offset, length
        offset += length
        pattern = _MARKER_AFTER_SCAN if code == _SCAN else _MARKER


def has_more_scans(content: bytes, limit: int) -> bool:
    """Return True if a JPEG has more than `limit` scans; stops reading there."""
    if content.count(_SCAN_MARKER) <= limit:
        return False  # at once for most files; others may have such bytes in their metadata
    scans = 0
    for code, _, _ in markers(content):
        scans += code == _SCAN
        if scans > limit:
            return True
    return False
