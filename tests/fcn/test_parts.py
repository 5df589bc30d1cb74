"""Files of a few parts pass, whatever their damage; what Pillow would walk through is counted."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from explainer.fcn import parts
from explainer.fcn.parts import too_many_parts

CAT = Image.linear_gradient("L").resize((60, 40)).convert("RGB")


def encode(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    CAT.save(stream, kind, **options)
    return stream.getvalue()


FILES = {
    "JPEG": encode("JPEG", exif=b"Exif\0\0" + bytes(100), comment=b"hello", progressive=True),
    "PNG": encode("PNG"),
    "GIF": encode("GIF", comment=b"x" * 1000, save_all=True, append_images=[CAT.rotate(90)] * 3),
    "BMP": encode("BMP"),
    "WEBP": encode("WEBP"),
}


@pytest.mark.parametrize("kind", FILES)
def test_good_files_have_few(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not too_many_parts(FILES[kind])
    monkeypatch.setattr(parts, "MOST", {"JPEG": 30, "PNG": 4, "GIF": 20, "BMP": 10})
    assert not too_many_parts(FILES[kind])


def test_each_kind_of_part_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg, png, gif = FILES["JPEG"], FILES["PNG"], FILES["GIF"]
    chunk = struct.pack(">I", 3) + b"tEXt" + b"a\0b" + bytes(4)
    first = gif.index(b",", 13)
    many = {
        "JPEG": [
            jpeg[:2] + b"\xff\xfe\0\4hi" * 100 + jpeg[2:],
            jpeg[:2] + b"\xff" * 100 + jpeg[2:],
            jpeg[:2] + b"\xff\xd0" * 100 + jpeg[2:],
            jpeg[:2] + b"\0" * 100 + jpeg[2:],
        ],
        "PNG": [png[:33] + chunk * 100 + png[33:]],
        "GIF": [
            gif[:first] + b"!\xfe\2hi\0" * 100 + gif[first:],
            gif[:first] + b"!\xfe" + b"\2hi" * 100 + b"\0" + gif[first:],
            gif[:first] + b"\7" * 100 + gif[first:],
        ],
    }
    for kind, files in many.items():
        for data in files:
            assert not too_many_parts(data)
            with monkeypatch.context() as patch:
                patch.setattr(parts, "MOST", dict.fromkeys(parts.MOST, 99))
                assert too_many_parts(data), (kind, data[:40])


def test_a_jpegs_own_bytes_are_no_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST", {"JPEG": 30})
    assert not too_many_parts(FILES["JPEG"] + b"\xff\xd9" + b"\xff" * 1000)


def test_further_pictures_of_an_animation_are_not_walked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "MOST", {"GIF": 20})
    frames = [CAT.rotate(90 * turn) for turn in range(200)]
    assert not too_many_parts(encode("GIF", save_all=True, append_images=frames))


def test_only_compressed_bmps_have_runs() -> None:
    large = FILES["BMP"] + bytes(3_000_000)
    assert not too_many_parts(large)
    assert too_many_parts(large[:30] + struct.pack("<I", 1) + large[34:])


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b""]), st.binary())
def test_any_bytes_are_counted(start: bytes, rest: bytes) -> None:
    assert too_many_parts(start + rest) is False


@pytest.mark.parametrize("kind", FILES)
def test_every_cut_is_counted(kind: str) -> None:
    data = FILES[kind]
    assert not any(too_many_parts(data[:length]) for length in range(0, len(data), 3))
