"""Image files of the user's own as one uint8 tensor: of one size, with the same channels, decoded once."""

import contextlib
import functools
import math
import warnings
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from labelnoise import _files

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")
_GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N")
_GREY = ("1", "L", "LA", "La", *_GREY_16)
_DEEP = ("I", "F")
_CHUNK = 256  # images that are held at a time on their way to the file
_SIDES = 16, 32  # in pixels, where nobody says; a ResNet on a CPU takes 1.3 times as long for 32 as for 28


def image_shape(paths: Sequence[Path], *, size: int | None = None) -> tuple[int, int, int]:
    """(channels, size, size) to decode these images to: 1 channel if all are grey, else 3.

    Without a ``size`` it is 32, or the largest short side there is where that is less: pixels made by enlarging cost
    time and say nothing. Below 16 images are enlarged nevertheless, or no network would have layers for them. Only
    headers are read, and none once the answer is certain.

    Raises:
        ValueError: an image that cannot be read; it is named.
    """
    channels, (side, most) = 1, _SIDES
    with _no_bombs():
        for path in paths:
            with _opened(path) as image:
                channels = channels if image.mode in _GREY else 3
                side = max(side, min(image.size))
            if channels == 3 and (size or side >= most):
                break
    size = size or min(side, most)
    return channels, size, size


def decode_images(
    paths: Sequence[Path], *, size: int, channels: int, out: Path | None = None
) -> UInt8[Tensor, "n c size size"]:
    """The images in the order of ``paths``, upright as their EXIF says, of animated ones the first frame.

    The short side becomes ``size`` pixels, with antialiasing, and of the long side the middle is kept. What is
    transparent lies on white; 16 bits of grey become 8.

    Args:
        paths: PNG, JPEG, BMP, WebP, GIF or TIFF files, told apart by what is in them.
        size: side of the result.
        channels: 1 for grey, 3 for red, green and blue.
        out: file to decode into, for more images than memory holds. The result is a map of this file, and what is
            written to it stays out of the file. A file of the right size is used as it is: name it by the checksum.

    Raises:
        ValueError: no images, or one that is missing, damaged, truncated, in another format, of 32 bits a pixel and
            channel, or so large that Pillow takes it for a bomb; it is named, and there is no file.
    """
    if not paths:
        raise ValueError("paths must name at least one image, got none")
    shape = (len(paths), channels, size, size)
    if out is None:
        images = torch.empty(shape, dtype=torch.uint8)
        for row, pixels in enumerate(_decoded(paths, size=size, channels=channels)):
            images[row] = torch.from_numpy(pixels)
        return images
    count = math.prod(shape)
    if not (out.is_file() and out.stat().st_size == count):
        with _files.replacing(out) as file:
            for pixels in _decoded(paths, size=size, channels=channels):
                file.write(pixels.tobytes())
    # Copied on write, since a tensor cannot be read-only.
    return torch.from_file(str(out), shared=False, size=count, dtype=torch.uint8).view(shape)


def _decoded(paths: Sequence[Path], *, size: int, channels: int) -> Iterator[UInt8[np.ndarray, "c size size"]]:
    decode = functools.partial(_decode, size=size, channels=channels)
    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes without Python's lock
        for start in range(0, len(paths), _CHUNK):
            with _no_bombs():
                pixels = list(pool.map(decode, paths[start : start + _CHUNK]))
            yield from pixels


def _decode(path: Path, *, size: int, channels: int) -> UInt8[np.ndarray, "c size size"]:
    with _opened(path) as image:
        # A JPEG is decoded at an eighth, a quarter or a half, if that is twice as large as needed or more.
        image.draft(None, (2 * size, 2 * size))
        ImageOps.exif_transpose(image, in_place=True)
        square = ImageOps.fit(_flat(image, "L" if channels == 1 else "RGB"), (size, size), Image.Resampling.BICUBIC)
    pixels = np.array(square)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """An image of 8 bits, and without transparency."""
    if image.mode in _DEEP:
        raise ValueError(f"it has 32 bits a pixel and channel (mode {image.mode}), expected 8 or 16")
    if image.mode in _GREY_16:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


@contextlib.contextmanager
def _opened(path: Path) -> Generator[Image.Image]:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except Exception as error:  # a damaged image can raise nearly anything
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__
        raise ValueError(f"{path} cannot be read as an image: {reason}") from None


@contextlib.contextmanager
def _no_bombs() -> Generator[None]:
    """Make errors of Pillow's warnings of bombs; what else it warns of, as odd EXIF, is not the user's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
