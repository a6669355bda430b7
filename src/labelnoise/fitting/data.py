"""The user's data on their way to training: read, split, made numbers; the same in every process that asks."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from labelnoise import _registry
from labelnoise._types import Batch
from labelnoise.datasets._own import Columns, OwnData, read_own
from labelnoise.features import TableFeatures
from labelnoise.fitting.transform import Inputs, Pictures, Transform, fit_transform
from labelnoise.fitting.trusted import Decided, read_decisions
from labelnoise.training import child_generator, split_validation

Tell = Callable[[str], None]

_WANTED = 2000  # validation samples: a standard error of one point
_FEW_CHECKED = 200  # rows, below which an accuracy has a standard error of two points and more
_FEWEST = 10  # rows to train on where somebody has decided on the others
_NO_ROW = -1
"""The index of a sample that is not one of the data."""


class Request(NamedTuple):
    """Where the data lie and how they are to be split; picklable, so that workers can prepare the same."""

    data: Path
    columns: Columns = Columns()
    labels: Path | None = None
    test: Path | None = None
    trusted: Path | None = None
    image_size: int | None = None
    """Side of decoded images; what :func:`labelnoise.datasets._own_images.image_shape` takes where nobody says."""
    seed: int = 0
    encoder: Path | None = None
    """Folder of a pretrained text encoder."""
    cache: Path | None = None
    """Folder for decoded images; in memory without."""


class Prepared(NamedTuple):
    """Numbers and class numbers, in three parts."""

    own: OwnData
    """As read; its labels as given."""
    class_names: tuple[str, ...]
    given: Int64[Tensor, "n"]
    """The given labels of all rows of the data, as class numbers, decisions of ``trusted`` included."""
    trusted: Int64[Tensor, "rows"]
    """Rows of the data that somebody has checked."""
    whole: Batch
    """All rows of the data, in an order in which the parts are stretches; ``index`` is the row in the data."""
    training: Batch
    validation: Batch
    """Held out, as noisy as the training part; or what somebody has checked, with the index -1 if not of the data."""
    test: Batch | None
    transform: Transform

    @property
    def validation_labels(self) -> str:
        """What they are: ``"noisy"``, ``"checked"``, or ``"checked and noisy"``."""
        index = self.validation.index
        checked = (index == _NO_ROW) | torch.isin(index, self.trusted)
        return "checked" if checked.all() else "checked and noisy" if checked.any() else "noisy"


def validation_fraction(samples: int) -> float:
    """A tenth, and of small data up to a fifth: a few hundred noisy labels tell neither losses nor epochs apart.

    >>> validation_fraction(3_000), validation_fraction(100_000)
    (0.2, 0.1)
    """
    return min(max(_WANTED / samples, 0.1), 0.2)


_kept: dict[Request, Prepared] = {}  # one at most


def kept(request: Request) -> Prepared:
    """What this process has prepared last, if that was ``request``, or else now."""
    return _kept[request] if request in _kept else prepare(request)


def prepare(request: Request, *, tell: Tell = lambda _: None) -> Prepared:
    """Read and split the data of ``request``, and keep them for :func:`kept`.

    Args:
        request: what is read.
        tell: told how large the decoded images are, before they are decoded, and of few checked rows.

    Raises:
        ValueError: what :func:`read_own` refuses; a test or trusted file of another kind or with a class of its own.
    """
    _kept.clear()  # before other data take memory
    own = read_own(request.data, request.columns, labels=request.labels)
    assert own.labels is not None
    class_names = tuple(sorted(set(own.labels)))
    given = _numbers(request.data, own.labels, class_names)
    decisions = read_decisions(request.trusted) if request.trusted else None
    trusted = torch.tensor([], dtype=torch.int64)
    if decisions is not None:
        trusted = _apply(request, decisions, own, given, class_names)
        is_trusted = torch.zeros(len(given), dtype=torch.bool).index_fill_(0, trusted, True)
        rows, held_out = is_trusted.logical_not().nonzero()[:, 0], trusted
        if len(trusted) < _FEW_CHECKED and len(rows) > 1:  # by so few alone, an epoch would be chosen by chance
            learned, noisy = _noisy_split(request, given[rows])
            rows, held_out = rows[learned], torch.cat([trusted, rows[noisy]])
    elif request.trusted:
        rows, held_out = torch.arange(len(given)), trusted
    else:
        rows, held_out = _noisy_split(request, given)
    transform = fit_transform(own, request.columns, rows, image_size=request.image_size, encoder=request.encoder)
    order = torch.cat([rows, held_out])
    inputs = _transformed(transform, own, order, _cache(request, "data"), tell)
    whole = Batch(inputs, given[order], order)
    training, validation = _part(whole, 0, len(rows)), _part(whole, len(rows), len(order))
    if request.trusted and decisions is None:
        other, validation = _other(request, "trusted", own, class_names, transform, tell)
        if len(validation.labels) < _FEW_CHECKED:
            tell(f"Only {len(validation.labels)} checked rows choose, by chance among what is about as good")
        inputs_there = told_apart_by(other, validation.inputs, torch.arange(len(validation.labels)))
        checked = dict(zip(inputs_there, validation.labels.tolist(), strict=True))
        given_here = zip(told_apart_by(own, training.inputs, training.index), training.labels.tolist(), strict=True)
        if against := sum(checked.get(row, label) != label for row, label in given_here):
            tell(f"{against:,} training rows repeat a checked row's inputs with another label; decisions correct them")
    test = _other(request, "test", own, class_names, transform, tell)[1] if request.test else None
    prepared = Prepared(own, class_names, given, trusted, whole, training, validation, test, transform)
    _kept[request] = prepared
    return prepared


def told_apart_by(own: OwnData, inputs: Inputs, index: Int64[Tensor, "n"]) -> Iterable[str | bytes]:
    """Something of each row of ``inputs``, those in ``index`` of ``own``, that is equal where their inputs are."""
    texts: Any = own.inputs  # whose tokens are filled up to the longest beside them
    return texts[index] if own.kind == "text" else _fingerprints(inputs)


def _fingerprints(inputs: Inputs) -> Iterator[bytes]:
    for row in range(len(inputs)):
        if isinstance(inputs, Tensor):
            parts = (inputs[row],)
        else:
            start, stop = inputs.starts[row : row + 2].tolist()
            parts = inputs.column[start:stop], inputs.value[start:stop]
        yield hashlib.blake2b(b"".join(part.numpy().tobytes() for part in parts), digest_size=16).digest()


def _noisy_split(request: Request, given: Tensor) -> tuple[Tensor, Tensor]:
    generator = child_generator(request.seed, "split")
    return split_validation(given, fraction=validation_fraction(len(given)), generator=generator)


def _numbers(path: Path, labels: tuple[str, ...], class_names: tuple[str, ...]) -> Int64[Tensor, "n"]:
    number = {name: position for position, name in enumerate(class_names)}
    unknown = next((label for label in labels if label not in number), None)
    if unknown is not None:
        raise ValueError(f"{path} has the label {unknown[:100]!r}, which the data never have")
    return torch.tensor([number[label] for label in labels])


def _apply(
    request: Request, decisions: dict[int, Decided], own: OwnData, given: Tensor, class_names: tuple[str, ...]
) -> Int64[Tensor, "rows"]:
    """Write what was decided into ``given``, and say of which rows."""
    for row, made in decisions.items():
        if not 0 <= row < len(given):
            raise ValueError(f"{request.trusted} must decide on rows within [0, {len(given)}), got row {row}")
        _registry.check_name(f"label of row {row} in {request.trusted}", made.label, class_names)
        here, name = class_names[given[row]], own.ids[row]
        is_moved = own.kind == "image" and made.id not in ("", name)  # images are numbered by their sorted paths
        if is_moved or (made.given and here not in (made.given, made.label)):  # the latter where it is cleaned already
            raise ValueError(
                f"{request.trusted} must be of these data, where row {row} is {name}, labelled {here!r}; it decides on "
                f"{made.id or 'one'}, labelled {made.given!r}"
            )
        if made.word == "keep" and made.label != here:
            raise ValueError(
                f"label must be {here!r}, which keep means, got {made.label!r} in row {row} of {request.trusted}"
            )
        given[row] = class_names.index(made.label)
    if len(given) - len(decisions) < _FEWEST:
        got = f"a decision on {len(decisions)} of {len(given)}"
        raise ValueError(f"{request.trusted} must leave {_FEWEST} rows or more to train on, got {got}")
    return torch.tensor(sorted(decisions))


def as_learned(columns: Columns, transform: Transform) -> Columns:
    """For other files: a column that was categorical in training is, whatever the few rows there look like."""
    if not isinstance(transform, TableFeatures):
        return columns
    return columns._replace(categorical=tuple(use.name for use in transform.columns if use.kind == "categorical"))


def read_other(path: Path, columns: Columns) -> OwnData:
    """A test set, or checked rows; one file holds them and their labels."""
    if path.suffix.lower() == ".npy":
        raise ValueError(f"{path} has no labels beside it; give an .npz with features and labels")
    return read_own(path, columns._replace(id=None), few=True)  # which it need not have


def _other(
    request: Request,
    part: Literal["test", "trusted"],
    own: OwnData,
    class_names: tuple[str, ...],
    transform: Transform,
    tell: Tell,
) -> tuple[OwnData, Batch]:
    """Samples of another file of the same kind, as they are read and as numbers."""
    path: Path = getattr(request, part)
    other = read_other(path, as_learned(request.columns, transform))
    if other.kind != own.kind:
        raise ValueError(f"{path} must hold data of the kind {own.kind}, as {request.data}, got {other.kind}")
    assert other.labels is not None
    labels = _numbers(path, other.labels, class_names)
    try:
        inputs = _transformed(transform, other, torch.arange(len(labels)), _cache(request, part), tell)
    except ValueError as error:
        raise ValueError(f"{path} does not fit {request.data}: {error}") from None
    return other, Batch(inputs, labels, torch.full_like(labels, _NO_ROW))


def _transformed(
    transform: Transform, own: OwnData, order: Int64[Tensor, "n"], cache: Path | None, tell: Tell
) -> Inputs:
    """The inputs as numbers, in this order; images lie in the file ``cache``."""
    inputs: Any = own.inputs
    if isinstance(transform, Pictures) and isinstance(inputs, tuple):
        size = max(0.1, len(inputs) * math.prod(transform.shape) / 1e6)
        shape = " x ".join(map(str, transform.shape))
        tell(f"Images: {len(inputs):,}, decoded once to {shape} pixels: {size:,.1f} MB in {cache or 'memory'}")
        return transform.transform([inputs[row] for row in order.tolist()], out=cache)
    taken: Any = inputs.take(order.numpy()) if own.kind == "table" else inputs[order]
    return transform.transform(taken)


def _cache(request: Request, part: str) -> Path | None:
    """A file for decoded images; the folder is that of one fit, so the name need not say of which data."""
    return request.cache / f"{part}.uint8" if request.cache else None


def _part(whole: Batch, start: int, stop: int) -> Batch:
    """Consecutive rows; of images and features a view, so that a map on a file stays one."""
    if isinstance(whole.inputs, Tensor):
        return Batch(*(part[start:stop] for part in whole))
    return whole.take(torch.arange(start, stop))
