"""Augmentation by name, of whole mini-batches and from one generator."""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from labelnoise import _registry
from labelnoise.training.loop import Augment


def pad_crop(inputs: Tensor, generator: torch.Generator, *, padding: int, flip: bool) -> Tensor:
    """A random crop of every image after zero padding, and a random horizontal flip: (n, c, h, w) -> the same.

    Every image draws its own place, uniform over the (2 ``padding`` + 1)^2 there are, and flips with probability 1/2.
    The dtype stays; zero is black where the images are raw, the mean where they have been normalised.

    >>> images = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    >>> pad_crop(images, torch.Generator().manual_seed(0), padding=1, flip=True)
    tensor([[[[5, 4, 0],
              [8, 7, 0],
              [0, 0, 0]]]], dtype=torch.uint8)

    Args:
        inputs: images of any dtype, on any device.
        generator: a CPU generator, so that every device sees the same crops.
        padding: zeros on each of the four sides.
        flip: False draws places only.

    Raises:
        ValueError: inputs that are no images.

    Source: He et al. 2016 (arXiv 1512.03385), section 4.2, with ``padding`` 4.
    """
    if inputs.ndim != 4:
        raise ValueError(f"inputs must be images (n, c, h, w), got shape {tuple(inputs.shape)}")
    n, channels, height, width = inputs.shape
    # non_blocking: the host goes on at once, where it would wait for the device to have done all that came before
    top, left = torch.randint(2 * padding + 1, (2, n, 1), generator=generator).to(inputs.device, non_blocking=True)
    columns = left + torch.arange(width, device=inputs.device)
    if flip:
        mirrored = torch.randint(2, (n, 1), generator=generator).to(inputs.device, non_blocking=True) == 1
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = F.pad(inputs, (padding,) * 4).flatten(0, 2)  # (n c h', w')
    # Rows first, which are copied whole, then columns by an index that channels and rows share: no index by pixel.
    planes = torch.arange(n * channels, device=inputs.device).view(n, channels, 1) * (height + 2 * padding)
    rows = planes + (top + torch.arange(height, device=inputs.device))[:, None]  # (n, c, h)
    taken = padded.index_select(0, rows.flatten()).view(n, channels, height, width + 2 * padding)
    return taken.gather(3, columns[:, None, None].expand(-1, channels, height, -1))


def none() -> None:
    """No augmentation."""


def crop(*, padding: int = 4) -> Augment:
    """:func:`pad_crop` without flips, for images whose mirror image means something else, such as digits."""
    return _pad_crop(padding, flip=False)


def crop_flip(*, padding: int = 4) -> Augment:
    """:func:`pad_crop` with flips: the usual augmentation of CIFAR, and the paper's by an unverified transcription."""
    return _pad_crop(padding, flip=True)


def _pad_crop(padding: int, *, flip: bool) -> Augment:
    if padding < 0:
        raise ValueError(f"padding must be 0 or more pixels, got {padding}")
    return functools.partial(pad_crop, padding=padding, flip=flip)


REGISTRY: dict[str, Callable[..., Augment | None]] = {"crop": crop, "crop_flip": crop_flip, "none": none}


def build_augment(name: str, **settings: object) -> Augment | None:
    """The augmentation registered under ``name``, called as ``augment(inputs, generator)``.

    Args:
        name: ``"crop"``, random crops after padding; ``"crop_flip"``, which also flips half of them; ``"none"``: None.
        settings: ``padding`` of the first two, in pixels, default 4.

    Raises:
        ValueError: an unknown name or setting, a padding below 0.

    Example:
        >>> augment = build_augment("crop_flip", padding=2)
        >>> augment(torch.zeros(5, 3, 8, 8), torch.Generator().manual_seed(0)).shape
        torch.Size([5, 3, 8, 8])
    """
    return _registry.build("augmentation", REGISTRY, name, settings)
