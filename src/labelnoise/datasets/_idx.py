"""Reader for IDX, the format of MNIST and its kin, gzipped or not."""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, *, item: tuple[int, ...], limit: int) -> UInt8[Tensor, "n ..."]:
    """The unsigned bytes of an IDX file: ``n`` items of shape ``item``, all that the file holds.

    The header's count decides how much is read, so it is held to ``limit`` first; what a gzip file unpacks to beyond
    that is never unpacked.

    Raises:
        ValueError: not an IDX file of such items, truncated, damaged, or with more than ``limit`` items.
    """
    try:
        with _open(path) as file:
            count = _count(path, file, item=item, limit=limit)
            size = count * math.prod(item)
            body = bytearray(file.read(size))
            longer = file.read(1)  # also what makes gzip compare its checksum
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(body) < size:
        raise ValueError(f"{path} is truncated: {len(body):,} of {size:,} bytes of data")
    if longer:
        raise ValueError(f"{path} goes on after its {count:,} items of shape {item}")
    return torch.frombuffer(body, dtype=torch.uint8).view(count, *item)


def _open(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")


def _count(path: Path, file: io.BufferedIOBase, *, item: tuple[int, ...], limit: int) -> int:
    magic = bytes((0, 0, _UNSIGNED_BYTE, 1 + len(item)))
    header = file.read(4 + 4 * (1 + len(item)))
    if header[:4] != magic:
        raise ValueError(f"{path} is not an IDX file of these data: magic {header[:4].hex()}, expected {magic.hex()}")
    if len(header) < 4 + 4 * (1 + len(item)):
        raise ValueError(f"{path} is truncated in its header")
    count, *shape = struct.unpack(f">{1 + len(item)}I", header[4:])
    if tuple(shape) != item:
        raise ValueError(f"{path} holds items of shape {tuple(shape)}, expected {item}")
    if not 0 < count <= limit:
        raise ValueError(f"{path} claims {count:,} items, expected 1 to {limit:,}")
    return count
