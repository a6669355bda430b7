"""The samples whose labels look wrong, as pictures or texts, each with its given and its suggested label."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from labelnoise.audit import audit_record
from labelnoise.datasets import Dataset
from labelnoise.runs import Run


class Suspect(NamedTuple):
    """One sample of the gallery."""

    image: str
    """A PNG as a data address, so that the page needs no other file; empty for a text."""
    text: str
    """Empty for an image."""
    sample: int
    """The row in the data set."""
    given: str
    suggested: str
    true: str


def suspects(run: Run, data: Dataset, *, count: int) -> list[Suspect]:
    """The ``count`` most suspicious training samples of ``run``, the most suspicious first.

    None without a record, and none of open-set noise, whose inputs are not those of ``data``.
    """
    samples = run.samples()
    if samples is None or run.config.noise.name == "open_set":
        return []
    record = samples.record
    ranked = audit_record(record).suspicion.argsort(descending=True, stable=True)[:count]
    position = {index: row for row, index in enumerate(data.train.index.tolist())}
    names: Sequence[str] = data.class_names
    shown: list[Suspect] = []
    for row, index in zip(ranked.tolist(), record.index[ranked].tolist(), strict=True):
        sample = data.train.inputs[position[index]]
        is_text = isinstance(sample, str)
        shown.append(
            Suspect(
                image="" if is_text else _png(sample),
                text=sample if is_text else "",
                sample=index,
                given=names[int(record.labels[row])],
                suggested=names[int(samples.predicted[row])],
                true=names[int(data.true_labels[position[index]])],
            )
        )
    return shown


def _png(pixels: Tensor) -> str:
    """A grey or coloured image from (1 or 3, h, w) of any range."""
    low, high = pixels.aminmax()
    bright = ((pixels.float() - low) / (high - low).clamp(min=1e-9) * 255).to(torch.uint8)
    file = io.BytesIO()
    Image.fromarray(bright.permute(1, 2, 0).squeeze(-1).numpy()).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
