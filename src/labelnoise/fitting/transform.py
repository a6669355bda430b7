"""From what the user's data hold to what a network takes: fitted on the training rows, kept as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from labelnoise._types import SparseRows
from labelnoise.datasets._own import Columns, OwnData
from labelnoise.datasets._own_images import decode_images, image_shape
from labelnoise.features import Standard, TableFeatures, Tfidf, Tokens

_MAX_TERMS = 20_000  # a dense row of a mini-batch is as wide


class Pictures:
    """Image files as uint8 (n, c, height, width), all of one shape and as many channels as the training images have."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape: tuple[int, ...] = tuple(shape)

    def transform(self, images: Sequence[Path] | Tensor, *, out: Path | None = None) -> Tensor:
        """One image a path, decoded into the file ``out`` where one is given; arrays are taken as they are.

        Raises:
            ValueError: arrays of another shape; files, where the training images were arrays that are no squares.
        """
        if not isinstance(images, Tensor):
            channels, height, width = self.shape
            if height != width:
                raise ValueError(f"images must be arrays of {height} x {width} pixels, as in training, got files")
            return decode_images(images, size=height, channels=channels, out=out)
        if images.shape[1:] != self.shape:
            shape, came = (" x ".join(map(str, shape)) for shape in (self.shape, images.shape[1:]))
            raise ValueError(f"images must be {shape} (channels, height, width), as in training, got {came}")
        return images

    def state(self) -> dict[str, Any]:
        """Everything :meth:`from_state` needs, as plain JSON."""
        return {"shape": self.shape}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Pictures":
        """The transform that :meth:`state` was taken from."""
        return cls(state["shape"])


Transform = Tfidf | Tokens | TableFeatures | Standard | Pictures
Inputs = Tensor | SparseRows
_OF_KIND: dict[str, Any] = {"text": Tfidf, "table": TableFeatures, "features": Standard, "image": Pictures}


def fit_transform(
    data: OwnData, columns: Columns, rows: Any, *, image_size: int | None, encoder: Path | None
) -> Transform:
    """The transform for data of this kind, fitted on its ``rows``; or the tokenizer of a text encoder's folder."""
    inputs: Any = data.inputs
    if encoder is not None and data.kind != "text":
        raise ValueError(f"model must be a network for data of the kind {data.kind}, got the folder {encoder}")
    if image_size is not None and (data.kind != "image" or isinstance(data.inputs, Tensor)):
        raise ValueError(f"image_size must be given with image files only, got {image_size}")
    if encoder is not None:
        return Tokens(encoder)
    if data.kind == "image":
        if isinstance(inputs, Tensor):
            return Pictures(inputs.shape[1:])
        return Pictures(image_shape(inputs, size=image_size))
    if data.kind == "table":
        return TableFeatures(numeric=columns.numeric, categorical=columns.categorical).fit(inputs.take(rows.numpy()))
    if data.kind == "features":
        return Standard().fit(inputs[rows])
    try:
        return Tfidf(max_terms=_MAX_TERMS).fit(inputs[rows])
    except ValueError:
        raise ValueError(f"{columns.text} must hold texts with words of two letters that two texts share") from None


def load_transform(kind: str, state: dict[str, Any]) -> Transform:
    """The transform that its ``state()`` was taken from."""
    return _OF_KIND[kind].from_state(state)
