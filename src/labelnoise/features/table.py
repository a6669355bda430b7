"""Columns of a table as numbers: numeric ones scaled, categorical ones one-hot, and why, for people to see."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
import torch
from jaxtyping import Float
from torch import Tensor

from labelnoise import _registry

_arrow: Any = pyarrow.compute  # makes its functions at import, where no type checker sees them
_MOST_CATEGORIES = 1000
_LEAST_NUMBERED = 50  # of as many numbers from a range twice as wide some are equal but once in 300,000 tables
_MOST_DEVIATIONS = 10
_TRUTH = {"true": 1.0, "false": 0.0}
_TICKS_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class ColumnUse(NamedTuple):
    """What becomes of a column."""

    name: str
    kind: str
    """``numeric``, ``categorical`` or ``dropped``."""
    why: str


class _Numeric(NamedTuple):
    """Learned of a numeric column: how it is scaled, and whether a row lacked a value."""

    mean: float
    scale: float
    is_time: bool
    missing: bool

    @classmethod
    def fit(cls, table: pa.Table, name: str) -> "_Numeric":
        values = _numbers(table, name)
        seen = values[~np.isnan(values)]
        unit = float(np.abs(seen).max()) or 1.0  # squares of what it divides cannot overflow
        mean, scale = unit * float((seen / unit).mean()), unit * float((seen / unit).std())
        return cls(mean, scale or 1.0, _is_time(table.column(name).type), missing=len(seen) < len(values))

    def transform(self, table: pa.Table, name: str) -> np.ndarray:
        wanted = "dates" if self.is_time else "numbers"
        values, kind = _numbers(table, name, wanted), table.column(name).type
        missing = np.isnan(values)
        if _is_time(kind) != self.is_time and not missing.all():
            raise ValueError(f"column {name} must hold {wanted}, as in training, got {kind}")
        with np.errstate(over="ignore"):  # what overflows is clipped
            scaled = np.clip((values - self.mean) / self.scale, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
        columns = [np.where(missing, 0, scaled), *([missing] if self.missing else [])]
        return np.stack(columns, axis=1).astype(np.float32)


class _Categorical(NamedTuple):
    """Learned of a categorical column: its categories, and whether a row was of a rare one or lacked one."""

    categories: list[str]
    rare: bool
    missing: bool

    @classmethod
    def fit(cls, table: pa.Table, name: str) -> "_Categorical":
        counts = {pair["values"]: pair["counts"] for pair in _texts(table, name).value_counts().to_pylist()}
        missing = counts.pop(None, 0)
        frequent = sorted((text for text, count in counts.items() if count > 1), key=lambda text: (-counts[text], text))
        categories = frequent[:_MOST_CATEGORIES]
        return cls(categories, rare=len(categories) < len(counts), missing=missing > 0)

    def transform(self, table: pa.Table, name: str) -> np.ndarray:
        texts = _texts(table, name)
        if set(self.categories) == set(_TRUTH):  # which another program writes as 1 and 0
            texts = _arrow.replace_substring_regex(_arrow.replace_substring_regex(texts, "^1$", "true"), "^0$", "false")
        missing = texts.is_null().to_numpy()
        known = _arrow.index_in(texts, value_set=pa.array(self.categories, pa.large_string())).fill_null(-1).to_numpy()
        columns = [
            known[:, None] == np.arange(len(self.categories)),
            *([((known < 0) & ~missing)[:, None]] if self.rare else []),
            *([missing[:, None]] if self.missing else []),
        ]
        return np.concatenate(columns, axis=1).astype(np.float32)


_LEARNED = {"numeric": _Numeric, "categorical": _Categorical}


class TableFeatures:
    """The columns of a table side by side as float32, by what :meth:`fit` saw in them.

    Numbers and dates (as seconds) are numeric: (value - mean) / standard deviation, cut off at 10 deviations, so that
    no magnitude unseen in training can decide a prediction alone; an outlier in training still widens the deviation.
    What is missing, infinite or no number is the mean, and 1 in a second column if training rows lacked a value.

    Texts, truth values and dictionaries are categorical: a column of 0 and 1 for each of the 1000 most frequent
    categories that two training rows or more have, one for the rare ones and later for unseen ones, and one for
    what is missing or blank; the last two only if training rows need them, else such rows are 0 throughout.
    Categories are compared as text, however a program writes them: 1 and 1.0 are the same, and so are true and True.
    Truth values may also come as 1 and 0, and those as truth values.

    Dropped are columns with one value or none, of other types, texts with more than 1000 values, or with more than
    half as many values as rows, and whole numbers that number the rows: 50 or more, none twice, of a range less than
    twice as wide as they are many, which chance does not make. A table that was once sorted would tell its labels by
    them. :attr:`columns` says why.

    Args:
        numeric: columns that are numeric whatever their type; texts are read as numbers.
        categorical: columns that are categorical whatever their type and number of values.

    Example:
        >>> table = pa.table({"age": [20, 40, None], "city": ["Rom", "Rom", "Bonn"], "unit": ["cm", "cm", "cm"]})
        >>> features = TableFeatures(categorical=["city"]).fit(table)
        >>> features.transform(table)  # age, without age; Rom, another city
        tensor([[-1.,  0.,  1.,  0.],
                [ 1.,  0.,  1.,  0.],
                [ 0.,  1.,  0.,  1.]])
        >>> features.columns[-1]
        ColumnUse(name='unit', kind='dropped', why='constant')

    Raises:
        ValueError: a column that is named twice, not there or of a type that cannot be what is asked; every column
            dropped; a table to transform that lacks a column, has dates where training had numbers or the reverse, or
            nothing but what is written otherwise, as 1,5, or as yes and no, where it had numbers.
    """

    def __init__(self, *, numeric: Sequence[str] = (), categorical: Sequence[str] = ()) -> None:
        asked = [*numeric, *categorical]
        if len(set(asked)) < len(asked):
            raise ValueError(f"numeric and categorical must name a column once, got {', '.join(asked)}")
        self._asked = dict.fromkeys(numeric, "numeric") | dict.fromkeys(categorical, "categorical")
        self._columns: list[tuple[ColumnUse, _Numeric | _Categorical | None]] = []

    @property
    def columns(self) -> list[ColumnUse]:
        """What becomes of each column of the training table, in its order."""
        return [use for use, _ in self._columns]

    def fit(self, table: pa.Table) -> "TableFeatures":
        """Learn what to make of each column, from training rows only."""
        for name in self._asked:
            _registry.check_name("column", name, table.column_names)
        uses = [_use(table, name, self._asked.get(name)) for name in table.column_names]
        if all(use.kind == "dropped" for use in uses):
            reasons = "; ".join(f"{use.name}: {use.why}" for use in uses)
            raise ValueError(f"table must have a column to learn from, got {reasons or 'no columns'}")
        self._columns = [
            (use, _LEARNED[use.kind].fit(table, use.name) if use.kind in _LEARNED else None) for use in uses
        ]
        return self

    def transform(self, table: pa.Table) -> Float[Tensor, "n d"]:
        """One row a row of the table; the order of its columns, and those that were not learned, do not matter."""
        blocks = [learned.transform(table, use.name) for use, learned in self._columns if learned is not None]
        return torch.from_numpy(np.concatenate(blocks, axis=1))

    def state(self) -> dict[str, Any]:
        """Everything :meth:`from_state` needs, as plain JSON."""
        columns = [
            {"use": use._asdict(), "learned": None if learned is None else learned._asdict()}
            for use, learned in self._columns
        ]
        return {"asked": self._asked, "columns": columns}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "TableFeatures":
        """The transform that :meth:`state` was taken from."""
        features = cls()
        features._asked = state["asked"]
        for column in state["columns"]:
            use = ColumnUse(**column["use"])
            learned = _LEARNED[use.kind](**column["learned"]) if use.kind in _LEARNED else None
            features._columns.append((use, learned))
        return features


def _use(table: pa.Table, name: str, asked: str | None) -> ColumnUse:
    kind = _column(table, name).type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    is_category = pa.types.is_boolean(kind) or pa.types.is_dictionary(kind) or _is_text(kind)
    if asked is None and not (is_number or is_category or _is_time(kind) or pa.types.is_null(kind)):
        return ColumnUse(name, "dropped", f"neither numbers nor categories: {kind}")
    if asked == "numeric" or (asked is None and not is_category):
        values = _numbers(table, name)
        if asked is None and _is_numbering(values):
            return ColumnUse(name, "dropped", "numbers the rows (--numeric keeps it)")
        distinct, found = len(np.unique(values)), not np.isnan(values).all()
        use = ColumnUse(name, "numeric", f"{'dates' if _is_time(kind) else 'numbers'}: {kind}")
    else:
        texts = _texts(table, name)
        distinct, found = _arrow.count_distinct(texts, mode="all").as_py(), texts.null_count < len(texts)
        use = ColumnUse(name, "categorical", f"{distinct:,} values: {kind}")
        if asked is None and distinct > min(_MOST_CATEGORIES, len(texts) / 2):
            return ColumnUse(name, "dropped", f"free text or an identifier: {distinct:,} values (--text reads texts)")
    if distinct < 2:
        return ColumnUse(name, "dropped", "constant" if found else "no values")
    return use if asked is None else use._replace(why="as asked")


def _is_numbering(values: np.ndarray) -> bool:
    numbers = values[~np.isnan(values)]
    if len(numbers) < _LEAST_NUMBERED or (numbers != np.round(numbers)).any():
        return False
    return bool(len(np.unique(numbers)) == len(numbers) and np.ptp(numbers) < 2 * len(numbers))


def _column(table: pa.Table, name: str) -> Any:
    count = table.column_names.count(name)
    if count != 1:
        raise ValueError(f"table must have one column {name}, got {count}")
    return table.column(name)


def _numbers(table: pa.Table, name: str, wanted: str = "numbers") -> np.ndarray:
    """A column as float64, NaN where it has no finite number; dates as seconds since 1970."""
    column = _column(table, name)
    if _is_text(column.type) or pa.types.is_dictionary(column.type):
        texts = _texts(table, name)
        values = np.array([_number(text) for text in texts.to_pylist()], dtype=np.float64)
        values[~np.isfinite(values)] = np.nan
        others = texts.drop_null().unique()
        # Not one of them a number, but digits as in 1,5 or $3, or several words as yes and no, where a single one may
        # mean that nothing is known: to take the mean for all would be silent.
        has_digits = _arrow.any(_arrow.match_substring_regex(others, r"\d")).as_py()
        if np.isnan(values).all() and (has_digits or len(others) > 1):
            raise ValueError(f"column {name} must hold {wanted}, got {others[0].as_py()[:100]!r}")
        return values
    ticks = 1
    if _is_time(column.type):
        # Not finer than needed, lest far dates overflow.
        column = column.cast(pa.timestamp("s"), safe=False) if pa.types.is_date(column.type) else column
        ticks = _TICKS_A_SECOND[column.type.unit]
        column = column.cast(pa.int64())
    try:
        values = column.cast(pa.float64(), safe=False).to_numpy() / ticks
    except pa.ArrowException:
        raise ValueError(f"column {name} must be numbers, dates or text to be numeric, got {column.type}") from None
    return np.where(np.isfinite(values), values, np.nan)


def _number(text: str | None) -> float:
    try:
        return _TRUTH[text] if text in _TRUTH else float(text or "nan")
    except ValueError:
        return float("nan")


def _texts(table: pa.Table, name: str) -> Any:
    """A column as text, null where that is missing or blank; whole numbers and truth values in one spelling."""
    column = _column(table, name)
    try:
        texts = column.cast(pa.large_string())
        if pa.types.is_floating(column.type):
            texts = _whole_in_full(column.cast(pa.float64()), texts)
    except pa.ArrowException:
        raise ValueError(f"column {name} must have a text form to be categorical, got {column.type}") from None
    texts = _arrow.if_else(_arrow.equal(_arrow.utf8_trim_whitespace(texts), ""), None, texts)
    texts = _arrow.replace_substring_regex(texts, r"^(-?\d+)\.0+$", r"\1")
    return _arrow.if_else(_arrow.match_substring_regex(texts, "^(?i:true|false)$"), _arrow.utf8_lower(texts), texts)


def _whole_in_full(numbers: Any, texts: Any) -> Any:
    """``texts`` of ``numbers``, but the whole ones as integers are written: 1000000000000000 for 1e+15, 0 for -0."""
    whole = _arrow.and_(_arrow.equal(_arrow.floor(numbers), numbers), _arrow.less(_arrow.abs(numbers), 2.0**63))
    return _arrow.if_else(whole, _arrow.if_else(whole, numbers, 0.0).cast(pa.int64()).cast(texts.type), texts)


def _is_time(kind: Any) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
