import hashlib
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fal_bench.data import images
from fal_bench.data.images import decode, decode_all, normalisation_of, write_features
from fal_bench.errors import DataError, InvalidSpecError


def picture(height=6, width=8, channels=3, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def decoded(tmp_path):
    """Return a function that saves pixels to a file and decodes it."""

    def save_and_decode(pixels, colour="rgb", size=None, suffix="png", **options):
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(tmp_path / f"a.{suffix}", **options)
        return decode(tmp_path / f"a.{suffix}", colour, size).pixels

    return save_and_decode


def test_colours_are_kept(tmp_path, decoded):
    np.testing.assert_array_equal(decoded(picture()), picture())
    file = tmp_path / "a.png"
    assert decode(file, "rgb", None).digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_jpeg_is_nearly_what_was_saved(decoded):
    smooth = np.tile(np.linspace(0, 255, 16, dtype=np.uint8)[:, None, None], (1, 16, 3))
    assert np.abs(decoded(smooth, suffix="jpg", quality=95).astype(int) - smooth).max() < 8


def test_grey_becomes_three_equal_channels_and_colours_become_grey(decoded):
    grey = picture(channels=1)
    np.testing.assert_array_equal(decoded(grey), np.repeat(grey[..., None], 3, axis=2))
    pixels = decoded(picture(), "grey")
    assert pixels.shape == (6, 8, 1)
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(pixels[..., 0] - picture() @ weights).max() <= 1


@pytest.mark.parametrize("palette", [False, True])
def test_transparent_pixels_lie_over_white(decoded, palette):
    pixels = picture(channels=4)
    pixels[:, :4, 3], pixels[:, 4:, 3] = 0, 255
    image = Image.fromarray(pixels)
    if palette:
        image = image.quantize()
    result = decoded(image)
    assert (result[:, :4] == 255).all()
    np.testing.assert_array_equal(result[:, 4:], np.asarray(image.convert("RGBA"))[:, 4:, :3])


def test_half_transparent_pixels_are_mixed_with_white(decoded):
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[..., 3] = 51  # a fifth
    assert np.abs(decoded(pixels).astype(int) - 204).max() <= 1


@pytest.mark.parametrize(("mode", "suffix"), [("1", "png"), ("LA", "png"), ("CMYK", "jpg")])
def test_rarer_kinds_become_colours(decoded, mode, suffix):
    assert decoded(Image.fromarray(picture()).convert(mode), suffix=suffix).shape == (6, 8, 3)


def test_photos_are_turned_upright(decoded):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    np.testing.assert_array_equal(decoded(picture(), exif=exif), np.rot90(picture(), -1))


def test_other_sizes_are_cut_to_a_centred_square(decoded):
    pixels = np.zeros((10, 50, 3), dtype=np.uint8)
    pixels[:, 10:40] = [255, 0, 100]
    image = decoded(pixels, size=5)
    assert image.shape == (5, 5, 3)
    assert (image == [255, 0, 100]).all()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:10],
        lambda content: b"",
        lambda content: b"no image",
        lambda content: b"GIF89a" + content,
    ],
)
def test_a_corrupt_file_is_named(tmp_path, suffix, damage):
    path = tmp_path / f"broken.{suffix}"
    Image.fromarray(picture(64, 64)).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"broken\.{suffix}"):
        decode(path, "rgb", None)


def test_flipped_bytes_unreadable_files_and_other_formats_are_refused(tmp_path):
    image = Image.fromarray(picture(64, 64))
    image.save(tmp_path / "flipped.png")
    content = bytearray((tmp_path / "flipped.png").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "flipped.png").write_bytes(content)
    image.save(tmp_path / "other.png", format="GIF")
    for name in ("flipped", "other", "absent"):
        with pytest.raises(DataError, match=rf"{name}\.png"):
            decode(tmp_path / f"{name}.png", "rgb", None)


def png(bits, colour_type, interlaced=0):
    """Return a PNG file of dark pixels, written without Pillow."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 8, 8, bits, colour_type, 0, 0, interlaced)
    row = bytes(1) + bytes([0, 9] if bits == 16 else [9]) * channels * 8
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * 8))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_deep_channels_are_refused_in_every_mode(tmp_path, colour_type, colour):
    path = tmp_path / "a.png"
    for interlaced in (0, 1):
        path.write_bytes(png(16, colour_type, interlaced))
        with pytest.raises(InvalidSpecError, match=r"a\.png' .*8 bits"):
            decode(path, colour, None)
    path.write_bytes(png(8, colour_type))
    assert decode(path, colour, None).pixels.shape == (8, 8, 3 if colour == "rgb" else 1)


def test_deep_jpegs_are_refused(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(picture()).save(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"\xff\xc0") + 4] = 12  # bits of a channel
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jpg"):
        decode(path, "rgb", None)


@pytest.mark.parametrize("write", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(tmp_path, write):
    write(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png"):
        decode(tmp_path / "a.png", "rgb", None)


def test_of_several_frames_the_first_is_taken(decoded):
    first, second = Image.fromarray(picture()), Image.fromarray(picture(seed=1))
    pixels = decoded(first, save_all=True, append_images=[second])
    np.testing.assert_array_equal(pixels, picture())


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        ({}, None),
        ({"DECODED_AT_ONCE": 3}, None),
        ({"DECODED_AT_ONCE": 3}, 5),
        ({"DECODED_BYTES_AT_ONCE": 1}, 5),
    ],
)
def test_many_are_decoded_in_order_and_in_silence(tmp_path, monkeypatch, capfd, limits, size):
    for name, value in limits.items():
        monkeypatch.setattr(images, name, value)
    names = [f"{number}.png" for number in range(10)]
    for name in names:
        Image.fromarray(picture(seed=int(name[0]))).save(tmp_path / name)
    pixels, digests = decode_all(tmp_path, names, "rgb", size, tmp_path / "pixels")
    expected = [decode(tmp_path / name, "rgb", size) for name in names]
    np.testing.assert_array_equal(pixels, [one.pixels for one in expected])
    assert digests == [one.digest for one in expected]
    assert capfd.readouterr() == ("", "")


def test_different_sizes_need_a_size(tmp_path):
    names = ["a.png", "b.png"]
    for name, width in zip(names, (8, 9), strict=True):
        Image.fromarray(picture(6, width)).save(tmp_path / name)
    with pytest.raises(InvalidSpecError, match=r"b\.png'.* 9x6 .*a\.png'.* 8x6"):
        decode_all(tmp_path, names, "rgb", None, tmp_path / "pixels")
    pixels, _ = decode_all(tmp_path, names, "grey", 4, tmp_path / "pixels")
    assert pixels.shape == (2, 4, 4, 1)


def some_images(channels=3):
    return np.random.default_rng(0).integers(0, 256, (20, 4, 5, channels), dtype=np.uint8)


def written(*arguments):
    file = io.BytesIO()
    write_features(file, *arguments)
    return np.load(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("at_once", [7, 1024])
@pytest.mark.parametrize("channels", [1, 3])
def test_training_images_become_standard_in_each_channel(monkeypatch, at_once, channels):
    monkeypatch.setattr(images, "CONVERTED_AT_ONCE", at_once)
    train = some_images(channels)
    how = normalisation_of(train)
    np.testing.assert_allclose(how.mean, (train / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(how.deviation, (train / 255).std((0, 1, 2)), rtol=1e-12)
    for part in (train, train[::2] // 2):
        features = written(part, how)
        assert features.dtype == np.float32
        expected = (part / 255 - how.mean) / how.deviation
        np.testing.assert_allclose(features, expected.transpose(0, 3, 1, 2), rtol=1e-6)


def test_a_constant_channel_is_only_centred():
    flat = some_images()
    flat[..., 1] = 51
    how = normalisation_of(flat)
    assert how.deviation[1] == 1
    assert how.mean[1] == pytest.approx(0.2)
    np.testing.assert_allclose(written(flat, how)[:, 1], 0, atol=1e-7)


def test_features_are_written_as_they_are(monkeypatch):
    monkeypatch.setattr(images, "CONVERTED_AT_ONCE", 7)
    features = np.random.default_rng(0).normal(size=(20, 2, 1, 1)).astype(np.float32)
    np.testing.assert_array_equal(written(features, None), features)
    np.testing.assert_array_equal(written(features[::-1], None), features[::-1])
