"""Reader for CIFAR in the Parquet layout of the Hugging Face hub: images as PNG or WebP in a struct column."""

import io
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from labelnoise.datasets._images import check_labels

_SIDE = 32
_MAX_IMAGE_BYTES = 16 * 2**10  # uncompressed, an image has 3 KB
_BATCH = 500


def read_parquet(
    paths: list[Path], *, label: str, classes: int, limit: int
) -> tuple[UInt8[Tensor, "n 3 32 32"], Int64[Tensor, "n"]]:
    """The images and labels of all shards, decoded one after the other into one tensor.

    The columns are ``img``, a struct with the image file in ``bytes``, and the integers ``label``.

    Raises:
        ValueError: a shard is damaged, has other columns, more than ``limit`` rows in all, or an image that is
            damaged or not 32x32 RGB. What a shard and an image unpack to is bounded before they are unpacked.
    """
    rows = 0
    for path in paths:
        rows += _checked_rows(path, label)
        if rows > limit:
            raise ValueError(f"{path} brings the images to {rows:,}, expected at most {limit:,}")
    if not rows:
        raise ValueError(f"{paths[0]} holds no images")
    images = torch.empty((rows, 3, _SIDE, _SIDE), dtype=torch.uint8)
    labels = torch.empty(rows, dtype=torch.int64)
    into, done = images.numpy(), 0
    for path in paths:
        start = done
        for row, (encoded, target) in enumerate(_samples(path, label)):
            if done == rows:
                raise ValueError(f"{path} holds more rows than it says")
            into[done] = _decoded(path, row, encoded).transpose(2, 0, 1)
            labels[done] = _class(path, row, target)
            done += 1
        check_labels(path, labels[start:done], count=done - start, classes=classes)
    if done < rows:
        raise ValueError(f"{paths[-1]} holds fewer rows than it says")
    return images, labels


def _checked_rows(path: Path, label: str) -> int:
    """The rows a shard says it has, once its columns and the size of what it unpacks to are as they should be."""
    try:
        with pq.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None
    types = {field.name: field.type for field in schema}
    image = types.get("img")
    if image is None or not pa.types.is_struct(image) or image.get_field_index("bytes") < 0:
        raise ValueError(f"{path} has no column img with bytes; its columns: {', '.join(types)[:200]}")
    if not pa.types.is_binary(image.field("bytes").type) and not pa.types.is_large_binary(image.field("bytes").type):
        raise ValueError(f"{path}: img.bytes must be binary, got {image.field('bytes').type}")
    if label not in types or not pa.types.is_integer(types[label]):
        raise ValueError(f"{path} has no integer column {label}; its columns: {', '.join(types)[:200]}")
    unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if unpacked > (metadata.num_rows + 1) * _MAX_IMAGE_BYTES:
        raise ValueError(f"{path} unpacks to {unpacked:,} bytes, too many for {metadata.num_rows:,} images")
    return metadata.num_rows


def _samples(path: Path, label: str) -> Iterator[tuple[Any, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            batches: Iterable[Any] = file.iter_batches(_BATCH, columns=["img.bytes", label], use_threads=False)
            for batch in batches:
                encoded = batch.column("img").field("bytes")
                yield from zip(encoded.to_pylist(), batch.column(label).to_pylist(), strict=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None


def _decoded(path: Path, row: int, encoded: Any) -> UInt8[np.ndarray, "32 32 3"]:
    if not isinstance(encoded, bytes) or len(encoded) > _MAX_IMAGE_BYTES:
        got = f"{len(encoded):,} bytes" if isinstance(encoded, bytes) else "nothing"
        raise ValueError(f"{path}: the image in row {row} must be a PNG or WebP file of 32x32 pixels, got {got}")
    try:
        # Opening reads the header only; Pillow warns of a bomb by its size, which the next lines refuse anyway.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(encoded), formats=("PNG", "WEBP"))
        if image.size == (_SIDE, _SIDE) and image.mode == "RGB" and getattr(image, "n_frames", 1) == 1:
            return np.asarray(image)
    except Exception as error:  # a damaged image can raise nearly anything
        raise ValueError(f"{path}: the image in row {row} is damaged: {type(error).__name__}") from None
    raise ValueError(f"{path}: the image in row {row} must be 32x32 RGB, got {image.size} {image.mode}")


def _class(path: Path, row: int, target: Any) -> int:
    if target is None or abs(target) >= 2**31:
        raise ValueError(f"{path}: row {row} has the label {target}")
    return target


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is not a Parquet file, or it is damaged: {' '.join(str(error).split())[:200]}")
