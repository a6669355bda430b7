"""From what the user's data hold to what a network takes: fitted on the training rows, kept as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from labelnoise._types import SparseRows
from labelnoise.datasets._own import Columns, OwnData
from labelnoise.datasets._own_images import decode_images, image_channels
from labelnoise.features import Standard, TableFeatures, Tfidf

_MAX_TERMS = 20_000  # a dense row of a mini-batch is as wide


class Pictures:
    """Image files as uint8 (n, c, size, size), all of one size and as many channels as the training images have."""

    def __init__(self, *, size: int, channels: int) -> None:
        self._settings = {"size": size, "channels": channels}

    def transform(self, images: Sequence[Path] | Tensor, *, out: Path | None = None) -> Tensor:
        """One image a path, decoded into the file ``out`` where one is given; arrays are taken as they are."""
        if not isinstance(images, Tensor):
            return decode_images(images, **self._settings, out=out)
        size, channels = self._settings["size"], self._settings["channels"]
        if images.shape[1] != channels:
            raise ValueError(f"images must have {channels} channels, as in training, got {images.shape[1]}")
        if size and images.shape[2:] != (size, size):
            raise ValueError(f"images must be {size} x {size} pixels, as in training, got {tuple(images.shape[2:])}")
        return images

    def state(self) -> dict[str, Any]:
        """Everything :meth:`from_state` needs, as plain JSON."""
        return dict(self._settings)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Pictures":
        """The transform that :meth:`state` was taken from."""
        return cls(**state)


Transform = Tfidf | TableFeatures | Standard | Pictures
Inputs = Tensor | SparseRows
_OF_KIND: dict[str, Any] = {"text": Tfidf, "table": TableFeatures, "features": Standard, "image": Pictures}


def fit_transform(data: OwnData, columns: Columns, rows: Any, *, image_size: int) -> Transform:
    """The transform for data of this kind, fitted on its ``rows``."""
    inputs: Any = data.inputs
    if data.kind == "image":
        if isinstance(inputs, Tensor):
            return Pictures(size=inputs.shape[2], channels=inputs.shape[1])
        return Pictures(size=image_size, channels=image_channels(inputs))
    if data.kind == "table":
        return TableFeatures(numeric=columns.numeric, categorical=columns.categorical).fit(inputs.take(rows.numpy()))
    return (Tfidf(max_terms=_MAX_TERMS) if data.kind == "text" else Standard()).fit(inputs[rows])


def load_transform(kind: str, state: dict[str, Any]) -> Transform:
    """The transform that its ``state()`` was taken from."""
    return _OF_KIND[kind].from_state(state)
