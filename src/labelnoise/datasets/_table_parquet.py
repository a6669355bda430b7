"""Label columns of Parquet files: read as text, and written anew with all else as it was."""

import contextlib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from labelnoise.datasets._table_parts import check_column

_LABELS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
)


def parquet_table(path: Path) -> pa.Table:
    """The whole file; a ``ValueError`` if it is damaged."""
    with _opened(path) as file:
        table = file.read()
    for position, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):  # of which pyarrow can take no rows
            table = table.set_column(position, field.name, table.column(position).cast(pa.large_string()))
    return table


def parquet_labels(path: Path, column: str) -> list[str]:
    """What ``column`` says in each row; a ``ValueError`` names the row that has no label."""
    with _opened(path) as file:
        check_column(path, column, file.schema_arrow.names)
        kind = _value_type(file.schema_arrow.field(column).type)
        if not any(is_kind(kind) for is_kind in _LABELS):
            raise ValueError(f"{path} must have text, integers, floats or truth values as {column}, got {kind}")
        values = file.read(columns=[column]).column(column)
        values.validate(full=True)  # Parquet does not promise that its text is UTF-8
        values = values.cast(kind)
        missing, labels = values.is_null(nan_is_null=True).to_pylist(), values.cast(pa.string()).to_pylist()
    for row, label in enumerate(labels):
        if missing[row] or not label.strip():
            raise ValueError(f"{path} has no {column} in row {row}, counted from 0")
    return labels


def rewrite_parquet(path: Path, file: BinaryIO, column: str, labels: Mapping[int, str]) -> None:
    """Write ``path`` into ``file`` with other labels in some rows; columns, row groups and compression stay.

    Raises:
        ValueError: a damaged file, a label that the column's type cannot hold, or old timestamps (INT96) that differ
            by less than a microsecond.
    """
    with _opened(path) as source:
        table, groups = source.read(), [source.metadata.row_group(group) for group in range(source.num_row_groups)]
    _check_timestamps(path, table)
    parts = [group.column(part) for group in groups for part in range(group.num_columns)]
    position = table.schema.get_field_index(column)
    changed = _changed(table.column(position), labels, column)
    table = table.set_column(position, table.schema.field(position), changed)
    # pyarrow does not take the name it gives to what is not compressed.
    codecs: Any = {part.path_in_schema: part.compression.replace("UNCOMPRESSED", "NONE") for part in parts}
    is_compliant = not any(".list.item" in name for name in codecs)  # how the parts of a list are called
    with pq.ParquetWriter(file, table.schema, compression=codecs, use_compliant_nested_type=is_compliant) as writer:
        first = 0
        for group in groups:
            writer.write_table(table.slice(first, group.num_rows), row_group_size=max(group.num_rows, 1))
            first += group.num_rows


def _check_timestamps(path: Path, table: pa.Table) -> None:
    """Raise a ``ValueError`` where :func:`_opened` has cut off nanoseconds."""
    with pq.ParquetFile(path) as file:
        names = [part.path for part in file.schema if part.physical_type == "INT96" and part.path in table.column_names]
        exact = file.read(columns=names)
    for name in names:
        # Equal modulo 2^64, in which the nanoseconds of other centuries are counted.
        nanoseconds, microseconds = (whole[name].cast(pa.int64()).fill_null(0).to_numpy() for whole in (exact, table))
        if (nanoseconds != microseconds * 1000).any():
            raise ValueError(f"{path} has timestamps finer than a microsecond as INT96 in {name}: write them as INT64")


@contextlib.contextmanager
def _opened(path: Path) -> Generator[Any]:
    try:
        # Old timestamps, INT96, are of any year, as Spark's 9999-12-31; their nanoseconds would wrap around in 2262.
        with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not a Parquet file, or it is damaged: {reason}") from None


def _value_type(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _changed(old: Any, labels: Mapping[int, str], column: str) -> Any:
    """The column with other labels in some rows, same type; a dictionary keeps its order and grows at the end."""
    kind = _value_type(old.type)
    typed = {label: _typed(label, kind, column) for label in sorted(set(labels.values()))}
    values = old.cast(kind).to_pylist()
    for row, label in labels.items():
        values[row] = typed[label]
    if not pa.types.is_dictionary(old.type):
        return pa.array(values, kind)
    known = old.unify_dictionaries().chunk(0).dictionary.to_pylist()
    number = {value: position for position, value in enumerate(dict.fromkeys([*known, *typed.values()]))}
    try:
        indices = pa.array([number[value] for value in values], old.type.index_type)
    except pa.ArrowException:
        raise ValueError(f"column {column} of type {old.type} has no room for {len(number)} labels") from None
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(number), kind), ordered=old.type.ordered)


def _typed(label: str, kind: Any, column: str) -> Any:
    """The value of type ``kind`` that reads as ``label``."""
    with contextlib.suppress(pa.ArrowException):
        value = pa.scalar(label).cast(kind)
        if value.cast(pa.string()).as_py() == label:
            return value.as_py()
    raise ValueError(f"labels of column {column} must be of its type {kind}, got {label[:100]!r}")
