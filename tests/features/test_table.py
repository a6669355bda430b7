import datetime
import decimal
import json
import math
import statistics

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from labelnoise.features import TableFeatures

NAN, INF = math.nan, math.inf
DAY = 24 * 3600


def fitted(column, **settings):
    return TableFeatures(**settings).fit(pa.table({"x": column}))


def rows(column, *, seen=None, **settings):
    """The features of a column, after fitting it or the one ``seen``."""
    return fitted(column if seen is None else seen, **settings).transform(pa.table({"x": column})).tolist()


def use(column, **settings):
    table = pa.table({"x": column, "other": [0, 1] * (len(column) // 2) + [2] * (len(column) % 2)})
    return TableFeatures(**settings).fit(table).columns[0][1:]


class TestNumeric:
    @given(st.lists(st.none() | st.floats(-60_000, 60_000, width=16), min_size=2, max_size=30))
    def test_standardised_with_the_mean_and_a_mark_where_nothing_is(self, values):
        seen = [value for value in values if value is not None]
        assume(len(set(values)) > 1)
        mean, deviation = statistics.fmean(seen), statistics.pstdev(seen)
        scaled = [0 if value is None else (value - mean) / (deviation or 1) for value in values]
        marks = [[float(value is None)] for value in values] if None in values else [[]] * len(values)
        expected = [[min(max(value, -10), 10), *mark] for value, mark in zip(scaled, marks, strict=True)]
        assert rows(pa.array(values, pa.float64())) == [pytest.approx(row, rel=1e-5, abs=1e-5) for row in expected]

    def test_an_unseen_magnitude_is_cut_off(self):
        assert rows([1e300, -INF, -5.0, 3.0, 1e9], seen=[-1.0, 1.0]) == [[10], [0], [-5], [3], [10]]

    def test_the_largest_floats_do_not_overflow(self):
        assert rows([1.7e308, -1.7e308]) == [[1], [-1]]
        assert rows([1.7e308], seen=[-1.7e308, -1.6e308]) == [[10]]
        assert rows([5e-324, 0.0], seen=[0.0, 1e-310, 2e-310])[1] == [pytest.approx(-(1.5**0.5), rel=1e-6)]

    def test_infinite_is_missing(self):
        assert rows([1.0, 3.0, INF, NAN, -INF, None]) == [[-1, 0], [1, 0], *[[0, 1]] * 4]

    def test_without_a_mark_where_training_had_all_values(self):
        assert rows([None, 3], seen=[1, 3]) == [[0], [1]]

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([1, 3], pa.uint8()),
            pa.array([2**62, 2**62 + 2**60]),
            pa.array([1, 3], pa.float16()),
            pa.array([decimal.Decimal("0.1"), decimal.Decimal("0.2")]),
            pa.array([datetime.date(2020, 1, 1), datetime.date(2020, 1, 3)]),
            pa.array([0, DAY * 1000], pa.date64()),
            pa.array([1, 3], pa.timestamp("ns", "Nowhere/Unknown")),
            pa.array([1, 3], pa.timestamp("s")),
        ],
        ids=lambda column: str(column.type),
    )
    def test_what_is_numeric(self, column):
        assert rows(column) == [[-1], [1]]
        assert use(column)[0] == "numeric"

    def test_dates_of_any_resolution_are_the_same_seconds(self):
        seen = pa.array([0, 2 * DAY], pa.timestamp("s"))
        later = [(2, "date32"), (2 * DAY * 1000, "date64"), (2 * DAY * 10**6, pa.timestamp("us"))]
        for value, kind in later:
            assert rows(pa.array([value], kind), seen=seen) == [[1]]

    def test_far_dates(self):
        assert rows(pa.array([10**18, -(10**18)], pa.timestamp("s"))) == [[1], [-1]]
        evenly = pa.array([0, 7 * 10**8, 14 * 10**8, 21 * 10**8], pa.date32())
        assert rows(evenly) == [[pytest.approx(third / 5**0.5)] for third in (-3, -1, 1, 3)]

    def test_dates_and_numbers_are_not_confused(self):
        dates = pa.array([1, 3], pa.timestamp("s"))
        with pytest.raises(ValueError, match=r"column x must hold dates, as in training, got int64"):
            rows([1, 3], seen=dates)
        with pytest.raises(ValueError, match=r"column x must hold dates, as in training, got double"):
            rows(pa.array([1.0, None]), seen=dates)
        with pytest.raises(ValueError, match=r"column x must hold numbers, as in training, got timestamp\[s\]"):
            rows(dates, seen=[1, 3])
        assert rows(pa.nulls(2), seen=dates) == [[0], [0]]

    def test_texts_are_read_as_numbers_if_asked(self):
        column = ["1", " 3 ", "?", "", None, "1e999", "nan", "=1"]
        assert rows(column, numeric=["x"]) == [[-1, 0], [1, 0], *[[0, 1]] * 6]
        assert rows(pa.array(column).dictionary_encode(), numeric=["x"]) == rows(column, numeric=["x"])
        assert use(column, numeric=["x"]) == ("numeric", "as asked")
        assert rows([True, False, False, True], numeric=["x"]) == [[1], [-1], [-1], [1]]

    def test_numbers_that_become_texts_are_read(self):
        assert rows(["3", "?"], seen=[1, 3]) == [[1], [0]]


class TestCategorical:
    @given(st.lists(st.sampled_from(["a", "b", "<script>", "=1", "", None]), min_size=2, max_size=30))
    def test_one_column_a_category_and_more_for_rare_and_missing(self, texts):
        texts = [text or None for text in texts]
        assume(len(set(texts)) > 1)
        common = sorted(
            {text for text in texts if text and texts.count(text) > 1}, key=lambda text: (-texts.count(text), text)
        )
        rare = {text for text in texts if text} - set(common)
        expected = []
        for text in texts:
            marks = [text in rare] * bool(rare) + [text is None] * (None in texts)
            expected.append([float(mark) for mark in [*(text == category for category in common), *marks]])
        assert rows(pa.array(texts, pa.string()), categorical=["x"]) == expected

    def test_unseen_ones_are_as_the_rare_ones(self):
        assert rows(["a", "new", None], seen=["a", "a", "b"], categorical=["x"]) == [[1, 0], [0, 1], [0, 0]]

    def test_unseen_ones_are_nothing_where_none_was_rare(self):
        assert rows(["a", "new", None], seen=["a", "a", "b", "b"]) == [[1, 0], [0, 0], [0, 0]]

    def test_blank_is_missing(self):
        assert rows(["a", "a", "", " \t", None]) == [[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]]

    @pytest.mark.parametrize(
        ("seen", "later"),
        [
            (pa.array([True, False, True, False]), ["True", "False"]),
            (pa.array([True, False, True, False]), ["TRUE", "FALSE"]),
            (["True", "False", "True", "False"], pa.array([True, False])),
            (["1", "-2", "1", "-2"], ["1.0", "-2.00"]),
            (["1.0", "2.0", "1.0", "2.0"], pa.array([1, 2])),
            (pa.array([True, False, True, False]), pa.array([1, 0])),
            (pa.array([10**15, 2, 10**15, 2]), pa.array([1e15, 2.0])),
            (pa.array([0, 1, 0, 1]), pa.array([-0.0, 1.0], pa.float32())),
        ],
    )
    def test_one_value_in_another_spelling(self, seen, later):
        assert rows(later, seen=seen, categorical=["x"]) == rows(list(seen[:2]), seen=seen, categorical=["x"])
        assert sorted(map(tuple, rows(later, seen=seen, categorical=["x"]))) == [(0, 1), (1, 0)]

    def test_floats_that_are_not_whole_keep_their_digits(self):
        seen = [0.1, 0.25, 1e300, float("inf")]
        assert rows(["0.1", "0.25", "1e+300", "inf"], seen=pa.array(seen * 2), categorical=["x"]) == rows(
            pa.array(seen), seen=pa.array(seen * 2), categorical=["x"]
        )

    def test_other_numbers_keep_their_spelling(self):
        seen = ["01", "1", "1.50", "1.5"] * 2
        assert len({tuple(row) for row in rows(seen, seen=seen, categorical=["x"])}) == 4

    def test_at_most_a_thousand_the_most_frequent(self):
        column = [str(number) for number in range(1500) for _ in range(3 if number >= 500 else 2)]
        made = fitted(column, categorical=["x"]).transform(pa.table({"x": ["1499", "0", "500"]}))
        assert made.shape == (3, 1001)
        assert made.sum(1).tolist() == [1, 1, 1]
        assert made[:, -1].tolist() == [0, 1, 0]

    @pytest.mark.parametrize(
        "later",
        [
            pa.array(["1", "2"]),
            pa.array([1.0, 2.0]),
            pa.array([1, 2], pa.int8()),
            pa.array(["1", "2"], pa.large_string()),
            pa.array(["1", "2"], pa.string_view()),
            pa.array(["1", "2"]).dictionary_encode(),
            pa.array([1, 2]).dictionary_encode(),
            pa.chunked_array([pa.array(["1"]).dictionary_encode(), pa.array(["2"]).dictionary_encode()]),
        ],
        ids=lambda column: str(column.type),
    )
    def test_another_type_with_the_same_values(self, later):
        assert rows(later, seen=[1, 1, 2, 2], categorical=["x"]) == [[1, 0], [0, 1]]

    @pytest.mark.parametrize(
        "column",
        [
            pa.array(["a", "a", "b", "b"]),
            pa.array(["a", "a", "b", "b"], pa.string_view()),
            pa.array(["a", "a", "b", "b"]).dictionary_encode(),
            pa.array([False, False, True, True]),
        ],
        ids=lambda column: str(column.type),
    )
    def test_what_is_categorical(self, column):
        assert rows(column) == [[1, 0], [1, 0], [0, 1], [0, 1]]
        assert use(column) == ("categorical", f"2 values: {column.type}")


class TestDropped:
    @pytest.mark.parametrize(
        ("column", "why"),
        [
            (["a", "a", "a", "a"], "constant"),
            ([0.1, 0.1, 0.1, 0.1], "constant"),
            ([True] * 4, "constant"),
            ([None] * 4, "no values"),
            ([NAN, INF, None, NAN], "no values"),
            (["", None, " ", ""], "no values"),
            (["a", "b", "c", "c"], "free text or an identifier: 3 values (--text reads texts)"),
            ([[1], [2], [], None], "neither numbers nor categories: list<item: int64>"),
            ([{"a": 1}] * 4, "neither numbers nor categories: struct<a: int64>"),
            ([b"a", b"\xff", b"c", b"d"], "neither numbers nor categories: binary"),
            (pa.array([1, 2, 3, 4], pa.time32("s")), "neither numbers nor categories: time32[s]"),
        ],
    )
    def test_says_why(self, column, why):
        assert use(column) == ("dropped", why)

    def test_more_than_a_thousand_texts(self):
        texts = [str(number) for number in range(1001)] * 3
        assert use(texts) == ("dropped", "free text or an identifier: 1,001 values (--text reads texts)")
        assert use([*texts[:1000]] * 3)[0] == "categorical"

    @pytest.mark.parametrize(
        ("numbers", "kind"),
        [
            (range(50), "dropped"),
            ([str(n) for n in range(100, 150)], "dropped"),  # texts are an identifier anyway
            ([None, *range(0, 98, 2), 97], "dropped"),  # a range of 98, and 50 of it
            ([None, *range(0, 98, 2), 100], "numeric"),  # a range of 100
            (range(49), "numeric"),
            ([*range(50), 7], "numeric"),
            ([n + 0.5 for n in range(50)], "numeric"),
            (pa.array(range(50), pa.date32()), "numeric"),
        ],
    )
    def test_numbers_of_rows_are_dropped_unless_they_are_asked_for(self, numbers, kind):
        numbers = numbers if isinstance(numbers, pa.Array) else list(numbers)
        random = np.random.default_rng(0).permutation(len(numbers))
        table = pa.table({"x": numbers, "y": [0, 1] * (len(numbers) // 2) + [0] * (len(numbers) % 2)}).take(random)
        assert TableFeatures().fit(table).columns[0].kind == kind
        if kind == "dropped":
            assert TableFeatures(numeric=["x"]).fit(table).columns[0].kind == "numeric"

    def test_one_value_and_gaps_are_two_things_to_know(self):
        assert rows([7, None, 7]) == [[0, 0], [0, 1], [0, 0]]
        assert rows(["a", None, "a"], categorical=["x"]) == [[1, 0], [0, 1], [1, 0]]

    def test_dropped_columns_need_not_come_back(self):
        features = TableFeatures().fit(pa.table({"x": [1, 3], "unit": ["cm", "cm"]}))
        assert features.transform(pa.table({"x": [1, 3]})).tolist() == [[-1], [1]]

    @pytest.mark.parametrize(
        ("table", "got"),
        [
            ({"x": [1, 1], "y": [None, None]}, "x: constant; y: no values"),
            ({"x": pa.array([], "int64")}, "x: no values"),
            ({}, "no columns"),
        ],
    )
    def test_nothing_left(self, table, got):
        with pytest.raises(ValueError, match=f"table must have a column to learn from, got {got}$"):
            TableFeatures().fit(pa.table(table))


class TestTable:
    TABLE = pa.table({"age": [20, 40, None, 30], "city": ["a", "a", "b", "b"], "free": ["w", "x", "y", "z"]})

    def test_columns_lie_side_by_side_in_the_order_of_training(self):
        features = TableFeatures().fit(self.TABLE)
        assert [(name, kind) for name, kind, _ in features.columns] == [
            ("age", "numeric"),
            ("city", "categorical"),
            ("free", "dropped"),
        ]
        made = features.transform(self.TABLE)
        assert made.dtype == torch.float32
        assert made[:, 2:].tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
        shuffled = self.TABLE.select(["city", "age"]).append_column("more", [[1, 2, 3, 4]])
        assert torch.equal(features.transform(shuffled), made)
        assert features.transform(self.TABLE.slice(0, 0)).shape == (0, 4)
        assert torch.equal(features.transform(self.TABLE.slice(1, 2)), made[1:3])

    def test_the_state_is_json_and_gives_the_same_rows(self):
        features = TableFeatures(categorical=["free"]).fit(self.TABLE)
        again = TableFeatures.from_state(json.loads(json.dumps(features.state(), allow_nan=False)))
        later = pa.table({"age": [1e300, None], "city": ["new", "a"], "free": ["w", None]})
        assert torch.equal(features.transform(later), again.transform(later))
        assert again.columns == features.columns
        assert again.state() == features.state()

    def test_fitting_again_forgets(self):
        features = TableFeatures().fit(self.TABLE)
        assert len(features.fit(pa.table({"x": [1, 2]})).columns) == 1

    def test_duplicated_rows_change_no_row(self):
        features = TableFeatures().fit(self.TABLE)
        twice = TableFeatures().fit(pa.concat_tables([self.TABLE, self.TABLE]))
        assert np.allclose(features.transform(self.TABLE), twice.transform(self.TABLE)[:, :4], atol=1e-6)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"numeric": ["agee"]}, r"unknown column 'agee'; did you mean 'age'\? \(one of: age, city, free\)"),
            ({"numeric": ["age"], "categorical": ["age"]}, "numeric and categorical must name a column once, got age"),
        ],
    )
    def test_settings_that_cannot_be(self, settings, message):
        with pytest.raises(ValueError, match=message):
            TableFeatures(**settings).fit(self.TABLE)

    def test_types_that_cannot_be_what_is_asked(self):
        with pytest.raises(ValueError, match=r"column x must be numbers, dates or text to be numeric, got list"):
            rows([[1], [2]], numeric=["x"])
        with pytest.raises(ValueError, match=r"column x must have a text form to be categorical, got list"):
            rows([[1], [2]], categorical=["x"])

    def test_a_column_that_is_missing_or_there_twice(self):
        features = TableFeatures().fit(self.TABLE)
        with pytest.raises(ValueError, match=r"table must have one column city, got 0"):
            features.transform(self.TABLE.select(["age"]))
        twice = pa.table([[1, 2], [3, 4]], names=["age", "age"])
        with pytest.raises(ValueError, match=r"table must have one column age, got 2"):
            features.transform(twice)
        with pytest.raises(ValueError, match=r"table must have one column age, got 2"):
            TableFeatures().fit(twice)


def test_numbers_that_are_written_otherwise_are_refused_and_unknown_ones_are_the_mean():
    features = TableFeatures().fit(pa.table({"x": [1.0, 2.0, 3.0]}))
    with pytest.raises(ValueError, match="column x must hold numbers, got '1,5'"):
        features.transform(pa.table({"x": ["1,5", "2,5"]}))
    dates = TableFeatures().fit(pa.table({"x": pa.array([1, 3], pa.timestamp("s"))}))
    with pytest.raises(ValueError, match="column x must hold dates, got '1970-01-01'"):
        dates.transform(pa.table({"x": ["1970-01-01", "unknown"]}))
    with pytest.raises(ValueError, match="column x must hold numbers, got 'low'"):
        features.transform(pa.table({"x": ["low", "high"]}))
    assert features.transform(pa.table({"x": ["True", "FALSE", "1", "0"]})).flatten().unique().numel() == 2
    assert features.transform(pa.table({"x": ["unknown", "3"]}))[0].item() == 0
    assert features.transform(pa.table({"x": ["unknown"]})).item() == 0
