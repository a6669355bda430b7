import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from labelnoise.datasets._own_images import decode_images, image_shape

RNG = np.random.default_rng(0)


def save(path, pixels, **settings):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **settings)
    return path


def colours(path, height=8, width=8, **settings):
    """A picture smooth enough for JPEG."""
    rows, columns = np.mgrid[0:height, 0:width]
    return save(
        path, np.stack([rows * 255 / height, columns * 255 / width, 255 - rows * 255 / height], axis=-1), **settings
    )


def png_claiming(path, width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    return path


def decoded(*paths, size=4, channels=3):
    return decode_images(paths, size=size, channels=channels)


class TestShape:
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
    def test_grey(self, tmp_path, mode):
        Image.new(mode, (3, 3)).save(tmp_path / "x.png")
        assert image_shape([tmp_path / "x.png"] * 2, size=4) == (1, 4, 4)

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
    def test_colour(self, tmp_path, mode):
        Image.new("L", (3, 3)).save(tmp_path / "grey.png")
        Image.new(mode, (3, 3)).save(tmp_path / "x.png")
        assert image_shape([tmp_path / "grey.png", tmp_path / "x.png"], size=4) == (3, 4, 4)

    @pytest.mark.parametrize(("sides", "size"), [((20, 28), 28), ((28, 20), 28), ((3,), 16), ((31, 300, 20), 32)])
    def test_nothing_is_enlarged_that_a_network_can_take(self, tmp_path, sides, size):
        paths = [save(tmp_path / f"{side}.png", np.zeros((side, side + 9))) for side in sides]
        assert image_shape(paths) == (1, size, size)

    def test_headers_are_read_until_the_answer_is_certain(self, tmp_path):
        small, large = colours(tmp_path / "small.png"), colours(tmp_path / "large.png", 40, 50)
        missing = tmp_path / "missing.png"
        assert image_shape([small, missing], size=8) == (3, 8, 8)
        assert image_shape([small, large, missing]) == (3, 32, 32)
        with pytest.raises(ValueError, match="missing"):
            image_shape([small, missing])


class TestPixels:
    def test_of_the_same_size_they_stay(self, tmp_path):
        pixels = RNG.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
        paths = [save(tmp_path / f"{row}.{suffix}", pixels[row]) for row, suffix in enumerate(("png", "bmp"))]
        images = decoded(*paths)
        assert images.dtype == torch.uint8
        assert images.is_contiguous()
        assert np.array_equal(images.numpy(), pixels.transpose(0, 3, 1, 2))

    def test_of_many_images_the_order_stays(self, tmp_path):
        paths = [save(tmp_path / f"{row}.png", np.full((2, 2), row)) for row in range(256)]
        images = decoded(*paths, paths[7], size=1, channels=1)
        assert images.flatten().tolist() == [*range(256), 7]

    @pytest.mark.parametrize(
        ("name", "settings"),
        [("x.webp", {"lossless": True}), ("x.gif", {}), ("x.tif", {}), ("x.tiff", {"compression": "tiff_lzw"})],
    )
    def test_formats(self, tmp_path, name, settings):
        pixels = RNG.integers(0, 256, (4, 4), dtype=np.uint8)
        assert np.array_equal(decoded(save(tmp_path / name, pixels, **settings), channels=1)[0, 0].numpy(), pixels)

    def test_the_format_is_that_of_the_content(self, tmp_path):
        save(tmp_path / "x.png", np.full((4, 4), 9)).rename(tmp_path / "x.jpg")
        assert decoded(tmp_path / "x.jpg").unique().tolist() == [9]

    def test_the_middle_of_the_long_side_is_kept(self, tmp_path):
        wide = np.repeat(np.arange(12), 1)[None].repeat(4, axis=0) * 20
        assert np.array_equal(decoded(save(tmp_path / "w.png", wide), channels=1)[0, 0].numpy(), wide[:, 4:8])
        assert np.array_equal(decoded(save(tmp_path / "h.png", wide.T), channels=1)[0, 0].numpy(), wide.T[4:8])

    def test_shrinking_is_antialiased(self, tmp_path):
        stripes = np.tile([0, 255], 32)[None].repeat(64, axis=0)  # finer than four pixels can show: grey
        # One column more or less of the 16 under a pixel is 255 / 16; without antialiasing a pixel is black or white.
        shrunk = decoded(save(tmp_path / "x.png", stripes), channels=1).float()
        assert (shrunk - 127.5).abs().max() < 255 / 16
        assert decoded(save(tmp_path / "y.png", np.full((2, 2), 77)), channels=1).unique().tolist() == [77]

    @pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3000), (3000, 1)])
    def test_extreme_shapes(self, tmp_path, height, width):
        assert decoded(save(tmp_path / "x.png", np.full((height, width), 5))).unique().tolist() == [5]

    def test_upright(self, tmp_path):
        pixels = RNG.integers(0, 256, (4, 4), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise
        path = save(tmp_path / "x.png", pixels, exif=exif)
        assert np.array_equal(decoded(path, channels=1)[0, 0].numpy(), np.rot90(pixels, -1))

    def test_jpegs_are_as_if_decoded_whole(self, tmp_path):
        path = colours(tmp_path / "x.jpg", 600, 900, quality=95)
        whole = Image.open(path).crop((150, 0, 750, 600)).resize((16, 16), Image.Resampling.BICUBIC)
        error = decoded(path, size=16)[0].permute(1, 2, 0).float() - torch.from_numpy(np.array(whole)).float()
        assert error.abs().max() <= 2  # of 255: half a step of rounding, decoding and resizing, both ways

    def test_transparency_lies_on_white(self, tmp_path):
        save(tmp_path / "rgba.png", np.full((4, 4, 4), (9, 9, 9, 0)))
        save(tmp_path / "la.png", np.full((4, 4, 2), (9, 0)))
        Image.new("P", (4, 4)).save(tmp_path / "p.png", transparency=0)
        paths = [tmp_path / name for name in ("rgba.png", "la.png", "p.png")]
        for channels in (1, 3):
            assert decoded(*paths, channels=channels).unique().tolist() == [255]

    def test_sixteen_bits_become_eight(self, tmp_path):
        Image.fromarray(np.full((4, 4), 0xABCD, np.uint16)).save(tmp_path / "x.png")
        for channels in (1, 3):
            assert decoded(tmp_path / "x.png", channels=channels).unique().tolist() == [0xAB]

    def test_one_bit_and_cmyk(self, tmp_path):
        Image.new("1", (4, 4), 1).save(tmp_path / "x.png")
        Image.new("CMYK", (4, 4), 0).save(tmp_path / "x.tif")
        assert decoded(tmp_path / "x.png", tmp_path / "x.tif").unique().tolist() == [255]

    def test_colours_as_grey(self, tmp_path):
        save(tmp_path / "x.png", np.full((4, 4, 3), (255, 0, 0)))
        assert decoded(tmp_path / "x.png", channels=1).unique().tolist() == [76]  # ITU-R 601: 0.299


class TestMap:
    def test_the_same_pixels_from_a_file(self, tmp_path):
        paths = [colours(tmp_path / f"{row}.png", 8 + row) for row in range(3)]
        mapped = decode_images(paths, size=4, channels=3, out=tmp_path / "pixels.bin")
        assert torch.equal(mapped, decoded(*paths))
        assert (tmp_path / "pixels.bin").read_bytes() == mapped.numpy().tobytes()

        mapped[0] = 0
        assert (tmp_path / "pixels.bin").read_bytes() == decoded(*paths).numpy().tobytes()

    def test_a_file_of_the_right_size_is_reused(self, tmp_path):
        path, out = colours(tmp_path / "x.png"), tmp_path / "pixels.bin"
        out.write_bytes(bytes(range(48)))
        assert decode_images([path], size=4, channels=3, out=out).flatten().tolist() == [*range(48)]
        assert torch.equal(decode_images([path], size=4, channels=1, out=out), decoded(path, channels=1))
        assert out.stat().st_size == 16

    def test_nothing_is_left_of_a_failure(self, tmp_path):
        good, bad = colours(tmp_path / "x.png"), tmp_path / "bad.png"
        bad.write_bytes(good.read_bytes()[:60])
        with pytest.raises(ValueError, match=r"bad.png cannot be read as an image"):
            decode_images([good, bad], size=4, channels=3, out=tmp_path / "pixels.bin")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.png", "x.png"]


class TestRefusals:
    def refused(self, path, match=""):
        with pytest.raises(ValueError, match=rf"{path.name} cannot be read as an image: .*{match}") as raised:
            decoded(path)
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.bmp", "x.webp", "x.gif", "x.tif"])
    @pytest.mark.parametrize("share", [0, 0.2, 0.6])
    def test_truncated(self, tmp_path, name, share):
        data = colours(tmp_path / name, 64, 64).read_bytes()
        (tmp_path / name).write_bytes(data[: int(len(data) * share)])
        self.refused(tmp_path / name)

    def test_the_first_of_several_is_named(self, tmp_path):
        for name in ("a.png", "b.png"):
            (tmp_path / name).write_bytes(b"no image")
        with pytest.raises(ValueError, match=r"a.png cannot be read as an image: cannot identify image file"):
            decoded(colours(tmp_path / "x.png"), tmp_path / "a.png", tmp_path / "b.png")

    @pytest.mark.parametrize("side", [10_000, 20_000, 2**31 - 1])
    def test_bombs(self, tmp_path, side):
        path = png_claiming(tmp_path / "x.png", side, side)
        self.refused(path, r"exceeds limit of \d+ pixels" if side < 2**31 - 1 else "")
        with pytest.raises(ValueError, match=r"x.png cannot be read as an image"):
            image_shape([path])

    def test_no_size(self, tmp_path):
        self.refused(png_claiming(tmp_path / "x.png", 0, 4))

    @pytest.mark.parametrize("name", ["x.ppm", "x.ico", "x.jp2", "x.eps", "x.pdf"])
    def test_other_formats_are_never_opened(self, tmp_path, name):
        colours(tmp_path / name, 16, 16).rename(tmp_path / "x.png")
        self.refused(tmp_path / "x.png", "cannot identify image file")

    @pytest.mark.parametrize("mode", ["F", "I"])
    def test_pixels_without_a_scale(self, tmp_path, mode):
        Image.new(mode, (4, 4)).save(tmp_path / "x.tif")
        self.refused(tmp_path / "x.tif", rf"32 bits a pixel and channel \(mode {mode}\), expected 8 or 16")

    def test_missing(self, tmp_path):
        self.refused(tmp_path / "x.png", "No such file or directory$")

    def test_none(self):
        with pytest.raises(ValueError, match="paths must name at least one image, got none"):
            decoded()

    def test_warnings_are_as_before(self, tmp_path):
        before = list(warnings.filters)
        decoded(colours(tmp_path / "x.png"))
        assert warnings.filters == before
