"""Reader for CIFAR's original python batches: pickles, of which nothing is ever executed."""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

_PIXELS = 3 * 32 * 32
_MAX_BYTES = 256 * 2**20  # the largest original, CIFAR-100's `train`, has 155 MB
_MAX_TUPLES = 10_000  # an original has a handful; hashing deeply nested ones overflows the C stack


def read_batch(path: Path, *, label: str, limit: int) -> tuple[UInt8[Tensor, "n 3 32 32"], Int64[Tensor, "n"]]:
    """The images and labels of one python batch, which holds ``data`` (n, 3072) and the list ``label``.

    A pickle is a program. Here it is run by an unpickler that knows five names, those NumPy arrays are made of, and
    gives it inert stand-ins for them; any other name ends the reading before anything is called or imported.

    Raises:
        ValueError: the pickle names anything else, is damaged, or holds no such arrays.
    """
    content = _unpickled(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not the dict of a CIFAR batch")
    fields = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    for field in ("data", label):
        if field not in fields:
            raise ValueError(f"{path} has no {field!r}: not a batch of this data set")
    images = _images(path, fields["data"], limit=limit)
    labels = fields[label]
    if not isinstance(labels, list) or not all(type(entry) is int and abs(entry) < 2**31 for entry in labels):
        raise ValueError(f"{path}: {label} must be a list of integers")
    return images, torch.tensor(labels, dtype=torch.int64)


class _Stub:
    """Stands in for an array or a dtype: keeps what the pickle hands it, and does nothing with it."""

    __slots__ = ("state",)

    def __init__(self, state: Any = None) -> None:
        self.state = state

    def __setstate__(self, state: Any) -> None:
        # An array's state comes last; a dtype's (byte order and the like) says nothing its name did not.
        if self.state is None:
            self.state = state


class _Unpickler(pickle.Unpickler):
    """Gives a pickle stand-ins for the names a pickled array needs, and refuses every other name."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="bytes")
        self._budget = len(data)

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        match f"{module_name}.{global_name}":
            case "numpy.core.multiarray._reconstruct" | "numpy._core.multiarray._reconstruct":
                return self._array
            case "numpy.ndarray":
                return None  # only ever handed back to _array, which ignores it
            case "numpy.dtype":
                return self._dtype
            case "_codecs.encode":  # how Python 3 writes bytes in the old protocols
                return self._bytes
            case name:
                raise pickle.UnpicklingError(f"it asks for {name[:100]}, which no CIFAR batch needs")

    def _array(self, *_: Any) -> _Stub:
        return _Stub()

    def _dtype(self, name: Any, *_: Any) -> _Stub:
        return _Stub(name.decode("latin1") if isinstance(name, bytes) else name)

    def _bytes(self, text: str, encoding: str) -> bytes:
        # A pickle can hand over one long string many times: all together may not outgrow the file.
        self._budget -= len(text)
        if self._budget < 0 or encoding not in ("latin1", b"latin1"):
            raise pickle.UnpicklingError("it encodes what no CIFAR batch encodes")
        return text.encode("latin1")


def _unpickled(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise ValueError(f"{path} has {size:,} bytes, more than any CIFAR batch")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        _check_size(data)
        return _Unpickler(data).load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not a CIFAR batch, or it is damaged: {reason}") from None


def _check_size(data: bytes) -> None:
    """Refuse the few opcodes by which a small pickle makes the unpickler itself allocate or recurse without bound."""
    tuples = 0
    for opcode, argument, _ in pickletools.genops(data):
        if "PUT" in opcode.name and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"it numbers its objects up to {argument}")
        tuples += "TUPLE" in opcode.name
        if tuples > _MAX_TUPLES:
            raise pickle.UnpicklingError(f"it has more than {_MAX_TUPLES:,} tuples")


def _images(path: Path, array: Any, *, limit: int) -> UInt8[Tensor, "n 3 32 32"]:
    match array.state if isinstance(array, _Stub) else None:
        case (_, (int(rows), int(columns)), _Stub(state=str(dtype)), order, bytes(raw)):
            shape = (rows, columns)
        case _:
            raise ValueError(f"{path}: data must be an array of unsigned bytes (n, {_PIXELS})")
    if dtype.lstrip("|") not in ("u1", "uint8") or columns != _PIXELS or len(raw) != rows * columns:
        raise ValueError(
            f"{path}: data must be unsigned bytes (n, {_PIXELS}), got {dtype[:20]} {shape} in {len(raw):,} bytes"
        )
    if not 0 < rows <= limit:
        raise ValueError(f"{path} holds {rows:,} images, expected 1 to {limit:,}")
    pixels = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
    pixels = pixels.view(columns, rows).T if order else pixels.view(rows, columns)  # `order`: column by column
    return pixels.contiguous().view(rows, 3, 32, 32)
