"""The user's own data as they lie there: a table, a folder of images, or arrays, told apart by the path."""

from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
from torch import Tensor

from labelnoise import _registry
from labelnoise._types import Texts
from labelnoise.datasets._checksum import checksum
from labelnoise.datasets._own_arrays import read_npy, read_npz
from labelnoise.datasets._own_folder import images_by_class, images_in, images_named
from labelnoise.datasets._table_file import read_labels, read_table
from labelnoise.datasets._table_parts import check_column

Kind = Literal["text", "table", "image", "features"]


class Columns(NamedTuple):
    """What the user says of a table's columns; all optional."""

    label: str | None = None
    text: str | None = None
    image: str | None = None
    """The column of paths under ``root``."""
    root: Path | None = None
    """The folder image paths start from, by default the table's own."""
    numeric: tuple[str, ...] = ()
    """Features that are numbers, whatever their type suggests."""
    categorical: tuple[str, ...] = ()
    """Features that are categories, whatever their type suggests."""
    ignore: tuple[str, ...] = ()
    id: str | None = None
    """The column whose values name the rows for people; never a feature."""


class OwnData(NamedTuple):
    """Inputs with their labels as they are written, in the order of the data."""

    kind: Kind
    inputs: Texts | pa.Table | tuple[Path, ...] | Tensor
    """By kind; images are paths, not decoded yet, or from arrays uint8 (n, c, h, w)."""
    labels: tuple[str, ...] | None
    """One a row; None where they were not asked for."""
    ids: tuple[str, ...]
    """What people call the rows: the id column, the path of an image, or else the row's number, from 0."""
    left_out: str = ""
    """In words, what lies in a folder and is not used."""

    @property
    def checksum(self) -> str:
        """SHA-256 of every bit a run can see, and of what its results call the rows; it reads all image files."""
        return checksum(Texts([self.kind]), self.inputs, Texts(self.labels or ()), Texts(self.ids))


_NO_COLUMNS = Columns()
# What pandas calls row numbers that it keeps in Parquet; where the data were sorted once, they tell the label.
_PANDAS_ROWS = "__index_level_"


def read_own(
    data: Path, columns: Columns = _NO_COLUMNS, *, labels: Path | None = None, labelled: bool = True, few: bool = False
) -> OwnData:
    """The rows of ``data``, which says by its suffix what it is.

    - ``.csv``, ``.jsonl``, ``.ndjson``, ``.parquet``: texts, images or a table of features, as ``columns`` says.
    - a folder: images, one subfolder a class; with ``labelled=False`` all images in it.
    - ``.npz``: ``features`` (n, d) or uint8 ``images``, and ``labels`` (n).
    - ``.npy``: features (n, d), with ``labels`` in another ``.npy`` file.

    Args:
        data: a file or a folder.
        columns: of a table only.
        labels: of an ``.npy`` file only.
        labelled: without, labels are neither needed nor read, as for a prediction.
        few: any number of rows and classes will do, as for a test.

    Raises:
        ValueError: data that are missing, empty, damaged or of another shape; a row without a label, one class only,
            or too many classes; an image path that leads out of its folder; columns that are not there.

    Example: ``read_own(Path("reviews.csv"), Columns(label="stars", text="review")).inputs[0]`` is the first review.
    """
    suffix = data.suffix.lower()
    if not data.exists():
        raise ValueError(f"there is no file or folder {data}")
    if labels is not None and suffix != ".npy":
        raise ValueError(f"labels must be given with data in .npy only, got {labels} with {data}")
    if columns != _NO_COLUMNS and (data.is_dir() or suffix in (".npz", ".npy")):
        raise ValueError(f"columns must be given with a table only, got some with {data}")
    if data.is_dir():
        images, classes = images_by_class(data, few=few) if labelled else (images_in(data), None)
        return OwnData("image", images.paths, classes, images.ids, images.left_out)
    if suffix in (".npz", ".npy"):
        is_npz, wanted = suffix == ".npz", {"labelled": labelled, "few": few}
        arrays = read_npz(data, **wanted) if is_npz else read_npy(data, labels, **wanted)
        kind: Kind = "image" if arrays.inputs.ndim == 4 else "features"
        return OwnData(kind, arrays.inputs, arrays.labels, tuple(map(str, range(len(arrays.inputs)))))
    return _read_table(data, columns, labelled=labelled, few=few)


def _read_table(path: Path, columns: Columns, *, labelled: bool, few: bool) -> OwnData:
    texts = {columns.text, columns.image, columns.id, *columns.categorical}
    table = read_table(path, texts=[name for name in texts if name is not None])
    _check_roles(path, columns, table.column_names, labelled=labelled, few=few)
    if not table.num_rows:
        raise ValueError(f"{path} holds no rows")
    labels = tuple(read_labels(path, columns.label, few=few).labels) if labelled and columns.label else None
    ids = tuple(map(str, range(table.num_rows)))
    kind: Kind = "text" if columns.text is not None else "table" if columns.image is None else "image"
    if columns.text is not None:
        inputs = Texts(_texts(path, table, columns.text))
    elif columns.image is not None:
        root = path.parent if columns.root is None else columns.root
        inputs, ids, _ = images_named(path, _texts(path, table, columns.image), root=root)
    else:
        inputs = _features(path, table, leave_out={columns.label, columns.id, *columns.ignore}, every=labelled)
    if columns.id is not None:
        ids = tuple(_texts(path, table, columns.id))
    return OwnData(kind, inputs, labels, ids)


def _check_roles(path: Path, columns: Columns, names: list[str], *, labelled: bool, few: bool) -> None:
    """Raise a ``ValueError`` unless the columns are there, and each is wanted for one thing."""
    if labelled and columns.label is None:
        raise ValueError(f"label must name a column of {path} (one of: {', '.join(names)}), got none")
    features = (*columns.numeric, *columns.categorical)
    wanted = {"text": columns.text, "image": columns.image, "numeric or categorical": features}
    inputs = [name for name, value in wanted.items() if value]
    if len(inputs) > 1:
        raise ValueError(f"columns must say one kind of input, got {' and '.join(inputs)}")
    if columns.root is not None and columns.image is None:
        raise ValueError(f"root must be given with an image column only, got {columns.root}")
    # What is only left out need not be in other data, nor in those to be predicted what the features are checked for.
    needed = [columns.text, columns.image, columns.id]
    optional = [columns.label, *features]
    used = [name for name in (*needed, *optional) if name is not None]
    for name in used if labelled else [name for name in needed if name is not None]:
        check_column(path, name, names)
    for name in columns.ignore if labelled and not few else ():
        _registry.check_name(f"column of {path}", name, names)  # there may be two of it
    roles = [*used, *columns.ignore]
    twice = next((name for name in roles if roles.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"columns must give each column of {path} one role, got two for {twice!r}")


def _texts(path: Path, table: pa.Table, column: str) -> list[str]:
    """A column as text, nothing where a row has none."""
    values = table.column(column)
    try:
        values.validate(full=True)  # Parquet does not promise that its text is UTF-8
        return values.cast(pa.large_string()).fill_null("").to_pylist()
    except pa.ArrowException:
        raise ValueError(f"{path} must have text in UTF-8 as {column}, got {values.type}") from None


def _features(path: Path, table: pa.Table, *, leave_out: set[str | None], every: bool) -> pa.Table:
    """The columns that are inputs; two of one name are refused where ``every`` one is learned of."""
    places = [
        place
        for place, name in enumerate(table.column_names)
        if not name.startswith(_PANDAS_ROWS) and name not in leave_out
    ]
    names = [table.column_names[place] for place in places]
    if not names:
        raise ValueError(f"{path} must have a column of features, got only {', '.join(table.column_names)}")
    for name in names if every else ():
        check_column(path, name, names)
    # Without what the file says beside its columns.
    table = pa.Table.from_arrays([table.column(place) for place in places], names=names)
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from None
    return table
