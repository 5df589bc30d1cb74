"""Counts the parts of a photo's file that Pillow walks through one by one, in Python.

Segments, chunks and comments are few in a good file. A hostile one of 32 MB can have millions,
at a microsecond and more each: with a limit known before, it is refused for what counting costs.
"""

MOST = {"JPEG": 20_000, "PNG": 100_000, "GIF": 300_000, "BMP": 1_000_000}
"""By format; good files of 32 MB have some 600, 5,000 and 140,000.

A JPEG's segments and a GIF's blocks have up to 64 kB and 255 bytes, a PNG's chunks usually 8 kB.
Run-length compressed BMPs have as many as the photo has runs of one colour: of photos, only small
ones stay below.
"""
_RESOURCES = 10_000
"""Of Photoshop in a JPEG; good files have some 30."""


def too_many_parts(data: bytes) -> bool:
    """Whether a JPEG, PNG, GIF or BMP has more parts than a good one; False for all else.

    Damaged files end where they cannot be followed: Pillow will find out what is wrong.
    """
    if data.startswith(b"\xff\xd8"):
        return _segments(data) > MOST["JPEG"] or data.count(b"8BIM") > _RESOURCES
    if data.startswith(b"\x89PNG"):
        return _chunks(data) > MOST["PNG"]
    if data.startswith(b"GIF"):
        return _blocks(data) > MOST["GIF"]
    if data.startswith(b"BM"):
        return _runs(data) > MOST["BMP"]
    return False


def _segments(data: bytes) -> int:
    """Segments before the first scan, and bytes between them; more than `MOST` is not counted."""
    at, end, count = 2, len(data) - 3, 0
    while at < end and count <= MOST["JPEG"]:
        count += 1
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, 0xFF):  # junk, or fill bytes
            at += 1
        elif marker == 0xDA:
            break
        elif 0xD0 <= marker <= 0xD9 or marker == 0x01:  # these have no length
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    return count


def _chunks(data: bytes) -> int:
    at, end, count = 8, len(data) - 7, 0
    while at < end and count <= MOST["PNG"]:
        count += 1
        at += 12 + int.from_bytes(data[at : at + 4])
    return count


def _blocks(data: bytes) -> int:
    """Blocks up to the second picture, and bytes between them."""
    at, end, count, pictures = 13 + _colours(data, 10), len(data), 0, 0
    while at < end and count <= MOST["GIF"] and pictures < 2:
        count += 1
        kind = data[at]
        if kind == 0x3B:  # the end
            break
        if kind == 0x21:  # an extension and its kind
            at += 2
        elif kind == 0x2C:  # a picture: its place, its colours, a byte for its compression
            pictures += 1
            at += 11 + _colours(data, at + 9)
        else:
            at += 1
            continue
        while at < end and data[at] and count <= MOST["GIF"]:
            count += 1
            at += 1 + data[at]
        at += 1
    return count


def _colours(data: bytes, at: int) -> int:
    """The bytes of the colour table that the flags at a place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _runs(data: bytes) -> int:
    """At most so many runs, of two bytes each, if the picture is compressed."""
    compression = int.from_bytes(data[30:34], "little")
    return len(data) // 2 if compression in (1, 2) else 0
