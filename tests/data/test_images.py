import hashlib

import numpy as np
import pytest
from PIL import Image

from fal_bench.data import images
from fal_bench.data.images import decode, decode_all
from fal_bench.errors import DataError, InvalidSpecError


def picture(height=6, width=8, channels=3, seed=0):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_colours_are_kept(tmp_path):
    path = save(tmp_path / "a.png", picture())
    image = decode(path, "rgb", None)
    np.testing.assert_array_equal(image.pixels, picture())
    assert image.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_jpeg_is_nearly_what_was_saved(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 16, dtype=np.uint8)[:, None, None], (1, 16, 3))
    path = save(tmp_path / "a.jpg", smooth, quality=95)
    assert np.abs(decode(path, "rgb", None).pixels.astype(int) - smooth).max() < 8


def test_grey_becomes_three_equal_channels(tmp_path):
    path = save(tmp_path / "a.png", picture(channels=1))
    pixels = decode(path, "rgb", None).pixels
    np.testing.assert_array_equal(pixels, np.repeat(picture(channels=1)[..., None], 3, axis=2))


def test_colours_become_grey_when_asked(tmp_path):
    path = save(tmp_path / "a.png", picture())
    pixels = decode(path, "grey", None).pixels
    assert pixels.shape == (6, 8, 1)
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(pixels[..., 0] - picture() @ weights).max() <= 1


@pytest.mark.parametrize("palette", [False, True])
def test_transparent_pixels_lie_over_white(tmp_path, palette):
    pixels = picture(channels=4)
    pixels[:, :4, 3], pixels[:, 4:, 3] = 0, 255
    image = Image.fromarray(pixels)
    if palette:
        image = image.quantize()
    image.save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png", "rgb", None).pixels
    assert (decoded[:, :4] == 255).all()
    expected = np.asarray(image.convert("RGBA"))[:, 4:, :3]
    np.testing.assert_array_equal(decoded[:, 4:], expected)


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[..., 3] = 51  # a fifth
    decoded = decode(save(tmp_path / "a.png", pixels), "rgb", None).pixels
    assert np.abs(decoded.astype(int) - 204).max() <= 1


@pytest.mark.parametrize("mode", ["1", "LA", "CMYK"])
def test_rarer_kinds_become_colours(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.fromarray(picture()).convert(mode).save(tmp_path / f"a.{suffix}")
    assert decode(tmp_path / f"a.{suffix}", "rgb", None).pixels.shape == (6, 8, 3)


def test_photos_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    path = save(tmp_path / "a.png", picture(), exif=exif)
    np.testing.assert_array_equal(decode(path, "rgb", None).pixels, np.rot90(picture(), -1))


def test_other_sizes_are_cut_to_a_centred_square(tmp_path):
    pixels = np.zeros((10, 50, 3), dtype=np.uint8)
    pixels[:, 10:40] = [255, 0, 100]
    image = decode(save(tmp_path / "a.png", pixels), "rgb", 5).pixels
    assert image.shape == (5, 5, 3)
    assert (image == [255, 0, 100]).all()


@pytest.mark.parametrize("cut", [100, 10, 0])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_corrupt_file_is_named(tmp_path, suffix, cut):
    path = save(tmp_path / f"broken.{suffix}", picture(64, 64))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 if cut == 100 else cut])
    with pytest.raises(DataError, match=rf"image '.*broken.{suffix}' \(.*; replace or remove it"):
        decode(path, "rgb", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", r"\(the file is empty\)"), (b"no image", r"\(its content is no JPEG or PNG image\)")],
)
def test_what_is_no_image_is_said_to_be_none(tmp_path, content, message):
    (tmp_path / "fake.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"image '.*fake\.png' {message}; replace or remove it"):
        decode(tmp_path / "fake.png", "rgb", None)


def test_flipped_bytes_of_a_png_are_noticed(tmp_path):
    path = save(tmp_path / "broken.png", picture(64, 64))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png"):
        decode(path, "rgb", None)


def test_another_format_under_the_name_is_refused(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.gif")
    path = (tmp_path / "a.gif").rename(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg"):
        decode(path, "rgb", None)


def test_deep_pixels_are_refused(tmp_path):
    path = save(tmp_path / "scan.png", picture(channels=1).astype(np.uint16) * 257)
    with pytest.raises(InvalidSpecError, match=r"scan\.png' has more than 8 bits a pixel"):
        decode(path, "grey", None)


@pytest.mark.parametrize("at_once", [3, 64])
def test_many_are_decoded_in_order(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(images, "DECODED_AT_ONCE", at_once)
    names = [f"{number}.png" for number in range(10)]
    files = [save(tmp_path / name, picture(seed=int(name[0]))) for name in names]
    pixels, digests = decode_all(tmp_path, names, "rgb", None, tmp_path / "pixels")
    np.testing.assert_array_equal(pixels, [picture(seed=number) for number in range(10)])
    assert digests == [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_different_sizes_need_a_size(tmp_path):
    save(tmp_path / "a.png", picture(6, 8))
    save(tmp_path / "b.png", picture(6, 9))
    names = ["a.png", "b.png"]
    message = r"b\.png' has 9x6 pixels, but 'a\.png' has 8x6; .* parameter size"
    with pytest.raises(InvalidSpecError, match=message):
        decode_all(tmp_path, names, "rgb", None, tmp_path / "pixels")
    pixels, _ = decode_all(tmp_path, names, "grey", 4, tmp_path / "pixels")
    assert pixels.shape == (2, 4, 4, 1)


def test_large_ones_are_decoded_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "DECODED_BYTES_AT_ONCE", 1)
    names = [f"{number}.png" for number in range(3)]
    for name in names:
        save(tmp_path / name, picture(seed=int(name[0])))
    pixels, _ = decode_all(tmp_path, names, "rgb", 5, tmp_path / "pixels")
    expected = [decode(tmp_path / name, "rgb", 5).pixels for name in names]
    np.testing.assert_array_equal(pixels, expected)


def test_nothing_is_shown_where_nobody_looks(tmp_path, capfd):
    save(tmp_path / "a.png", picture())
    decode_all(tmp_path, ["a.png"], "rgb", None, tmp_path / "pixels")
    assert capfd.readouterr() == ("", "")
