"""What a run can see of its data, as one SHA-256."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from labelnoise._types import Texts


def checksum(*parts: Texts | pa.Table | tuple[Path, ...] | Tensor) -> str:
    """SHA-256 of texts, tables, image files and tensors, in which no two different sequences give the same bytes.

    >>> checksum(Texts(["ab", "c"])) == checksum(Texts(["a", "bc"]))
    False

    Raises:
        ValueError: an image file that can no longer be read.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
            digest.update(part.contiguous().view(torch.uint8).numpy().data)
        elif isinstance(part, Texts):
            _add_texts(digest, part)
        elif isinstance(part, tuple):
            digest.update(f"files({len(part)})".encode())
            for path in part:
                digest.update(_of_file(path))
        else:
            digest.update(f"table{part.shape}".encode())
            for name in part.column_names:
                _add_texts(digest, (name, str(part.column(name).type)))
                _add_column(digest, part.column(name))
    return digest.hexdigest()


def _add_texts(digest: Any, texts: tuple[str, ...]) -> None:
    # With its length before each text, no two different sequences give the same bytes.
    encoded = [text.encode() for text in texts]
    digest.update(f"texts({len(encoded)})".encode())
    digest.update(b"".join(len(text).to_bytes(8, "little") + text for text in encoded))


def _of_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def _add_column(digest: Any, column: Any) -> None:
    """Add the values as text: what Arrow holds in memory differs with its chunks, and where a value is missing."""
    digest.update(column.is_null().to_numpy().tobytes())
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())  # a zone, part of the type, may be unknown here
    try:
        values = column.cast(pa.large_string())
    except pa.ArrowException:
        return  # lists and the like: no feature is made of them
    _add_texts(digest, tuple(values.drop_null().to_pylist()))
