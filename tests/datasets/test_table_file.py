import csv
import io
import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelnoise.datasets import _table_csv
from labelnoise.datasets._table_file import read_labels, read_table, rewrite_labels

BOM = "\ufeff"
PLAIN = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["=1+1", "é", "🙂", 'a"b', "a\r\nb", "01"])
LABEL = PLAIN.filter(str.strip)


def csv_file(tmp_path, text, name="data.csv"):
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return tmp_path / name


def rewritten(source, column, labels):
    target = source.with_stem("rewritten")
    rewrite_labels(source, target, column, labels)
    return target.read_bytes()


def in_folder(name, data):
    folder = Path(tempfile.mkdtemp(dir=in_folder.root))
    (folder / name).write_bytes(data)
    return folder / name


@pytest.fixture(scope="module", autouse=True)
def _root(tmp_path_factory):
    in_folder.root = tmp_path_factory.mktemp("tables")  # hypothesis runs many examples within one tmp_path


@st.composite
def csv_tables(draw):
    """Bytes of a CSV file written by hand, quoted at random; its column; the cells csv.reader must see."""
    width = draw(st.integers(1, 4))
    position = draw(st.integers(0, width - 1))
    names = [f"c{column}" for column in range(width)]
    cell = {True: LABEL, False: PLAIN}
    rows = draw(st.lists(st.tuples(*(cell[column == position] for column in range(width))), min_size=1, max_size=6))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))

    def written(text):
        needs = any(letter in text for letter in ',"\r\n')
        return '"' + text.replace('"', '""') + '"' if needs or draw(st.booleans()) else text

    lines = [",".join(map(written, row)) for row in [names, *rows]]
    blank = draw(st.sampled_from(["", end]))
    text = draw(st.sampled_from(["", BOM])) + blank.join(line + end for line in lines[:-1]) + blank + lines[-1]
    return (text + draw(st.sampled_from(["", end]))).encode(), names[position], rows


def seen_by_csv(data):
    return [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]


class TestCsv:
    @given(csv_tables(), st.data())
    def test_the_wanted_cells_change_and_no_other_byte(self, table, draw):
        data, column, rows = table
        path = in_folder("data.csv", data)
        header, *before = seen_by_csv(data)
        assert before == [list(row) for row in rows]  # the reference agrees with what was written
        position = header.index(column)
        assert [cell.label for cell in _table_csv.csv_cells(path, data, column)] == [row[position] for row in before]

        labels = draw.draw(st.dictionaries(st.integers(0, len(rows) - 1), LABEL))
        result = rewritten(path, column, labels)
        for row, label in labels.items():
            before[row][position] = label
        assert seen_by_csv(result) == [header, *before]

        # What lies between the label cells is untouched: put the old labels back, and the old bytes are there.
        cells = zip(_table_csv.csv_cells(path, data, column), _table_csv.csv_cells(path, result, column), strict=True)
        done_old = done_new = 0
        for old, new in cells:
            assert data[done_old : old.start] == result[done_new : new.start]
            assert (data[old.start : old.end] == result[new.start : new.end]) == (old.label == new.label)
            done_old, done_new = old.end, new.end
        assert data[done_old:] == result[done_new:]

    @given(csv_tables())
    def test_the_same_labels_are_the_same_bytes(self, table):
        data, column, _ = table
        path = in_folder("data.csv", data)
        same = {row: cell.label for row, cell in enumerate(_table_csv.csv_cells(path, data, column))}
        assert rewritten(path, column, same) == data

    @given(csv_tables())
    def test_the_table_has_the_same_rows(self, table):
        data, column, rows = table
        path = in_folder("data.csv", data)
        assert read_table(path).num_rows == len(rows) == len(_table_csv.csv_cells(path, data, column))

    def test_quotes_stay_where_they_were_and_come_where_they_must(self, tmp_path):
        path = csv_file(tmp_path, 'label,text\r\n"a","=1+1"\r\nb,"x\r\ny"\r\nc,=2\r\n"d" ,\r\n')
        labels = {0: "z", 1: "y", 2: 'x, "w"', 3: "v"}
        expected = b'label,text\r\n"z","=1+1"\r\ny,"x\r\ny"\r\n"x, ""w""",=2\r\n"v",\r\n'
        assert rewritten(path, "label", labels) == expected

    @pytest.mark.parametrize("label", ["a,b", 'a"b', "a\nb", "a\rb"])
    def test_each_letter_that_needs_quotes(self, tmp_path, label):
        result = rewritten(csv_file(tmp_path, "label,text\nx,y\n"), "label", {0: label})
        assert seen_by_csv(result)[1] == [label, "y"]

    def test_labels_are_as_they_are_written(self, tmp_path):
        rows = "1,x\n01,NA\n1.0,=1\n NA,\n" * 5
        labels, class_names = read_labels(csv_file(tmp_path, "label,text\n" + rows), "label")
        assert labels[:4] == ["1", "01", "1.0", " NA"]
        assert class_names == (" NA", "01", "1", "1.0")

    def test_columns_are_inferred_and_texts_stay(self, tmp_path):
        table = read_table(csv_file(tmp_path, BOM + 'text,stars\n"=1+1",1\nNA,2\n"two\nlines",3\n'))
        assert table.to_pydict() == {"text": ["=1+1", "NA", "two\nlines"], "stars": [1, 2, 3]}

    def test_a_row_longer_than_a_block_of_pyarrow(self, tmp_path):
        long = "x" * (3 * 2**20)
        assert read_table(csv_file(tmp_path, f"text,label\n{long},a\ny,b\n"))["text"].to_pylist() == [long, "y"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "data.csv is empty"),
            ("\n \n", "data.csv is empty"),
            ("text,label\n", "data.csv holds no rows"),
            (
                "text,lable\na,b\n",
                r"unknown column of .*data.csv 'label'; did you mean 'lable'\? \(one of: lable, text",
            ),
            ("text|label\na|b\n", r"unknown column of .*data.csv 'label'.* \(one of: text\|label\)"),
            ("label,label\na,b\n", "data.csv must have one column 'label', got 2"),
            (
                'text,label\n"a\nb",x\n\nc\n',
                r"must have 2 cells in every row, as in its header, got 1 cells in line 5 \(row 1, counted from 0\)",
            ),
            ("text,label\na,x\nb,c,y\n", r"got 3 cells in line 3 \(row 1"),
            ('text,label\na,x\n"b,y\nc,z\n', "data.csv has a quote in line 3 that is never closed"),
            ('"text,label\na,x\n', "data.csv has a quote in line 1 that is never closed"),
            ("text,label\na,x\nb,\nc,y\n", r"data.csv has no label in line 3 \(row 1, counted from 0\)"),
            ("text,label\na,x\nb, \n", r"data.csv has no label in line 3"),
            ("text,label\n" + "a,x\n" * 10, "must have at least two classes in label, got 'x' in every row"),
            (
                "text,label\n" + "a,x\n" * 6 + "a,y\na,z\na,w\n",
                "a fifth as many values in label as it has rows, 9, got 4",
            ),
            ("text,label\na,x\nübel,y\n".encode("latin1"), "must be UTF-8 text, got the byte 0xfc in line 3"),
            ("text,label\na,x\n".encode("utf-16"), "must be UTF-8 text, got the byte 0xff in line 1"),
        ],
    )
    def test_what_is_no_label_column(self, tmp_path, text, message):
        path = csv_file(tmp_path, text)
        with pytest.raises(ValueError, match=message) as raised:
            read_labels(path, "label")
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("text", ["a;label\n0,5;0;y\n", "\ufeffa\tlabel\r\n1\t0\r\n"])
    def test_other_marks_than_commas_are_told(self, tmp_path, text):
        path = tmp_path / "data.csv"
        path.write_text(text, encoding="utf-8")
        for read in (read_table, lambda path: read_labels(path, "label")):
            with pytest.raises(ValueError, match=r"data.csv must have commas between its cells, got 'a.{1,2}label'"):
                read(path)

    def test_other_marks_in_texts_are_no_header_whatever_ends_the_lines(self, tmp_path):
        assert read_table(csv_file(tmp_path, "text\ra;b\rc\td\r")).to_pydict() == {"text": ["a;b", "c\td"]}

    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_a_quote_that_is_never_closed_swallows_no_rows(self, tmp_path, end):
        with pytest.raises(ValueError, match=r"data.csv has a quote in line 4 that is never closed"):
            read_table(csv_file(tmp_path, 'id,text\n1,"a\n""b"\n2,"c\n3,d' + end, "data.csv"))

    def test_ragged_rows_are_named_in_the_table_too(self, tmp_path):
        with pytest.raises(ValueError, match=r"data.csv cannot be read: CSV parse error: Row #3: Expected 2 columns"):
            read_table(csv_file(tmp_path, "text,label\na,x\nb\n"))

    def test_a_class_of_one_sample_is_a_class(self, tmp_path):
        path = csv_file(tmp_path, "label\n" + "a\n" * 9 + "b\n")
        assert read_labels(path, "label").class_names == ("a", "b")


class Line(NamedTuple):
    """A JSON line in three pieces, its label's value between the others."""

    before: str
    value: str
    after: str


@st.composite
def json_tables(draw):
    """A byte order mark or none, JSON lines with random spacing and escaping, and what ends them."""
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PLAIN
    value = plain | st.lists(plain, max_size=2) | st.dictionaries(st.sampled_from(["label", "}"]), plain)
    label = LABEL | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
    blank = st.sampled_from(["", " ", "\t "])

    def written(some):
        return json.dumps(some, ensure_ascii=draw(st.booleans()))

    lines = []
    for _ in range(draw(st.integers(1, 5))):
        names = draw(st.lists(PLAIN.filter(lambda name: name != "label"), unique=True, max_size=4))
        pairs = [f"{written(name)}{draw(blank)}:{draw(blank)}{written(draw(value))}" for name in names]
        split = draw(st.integers(0, len(pairs)))
        comma = f"{draw(blank)},{draw(blank)}"
        before = "".join(pair + comma for pair in pairs[:split]) + f'"label"{draw(blank)}:{draw(blank)}'
        after = "".join(comma + pair for pair in pairs[split:]) + draw(blank)
        lines.append(Line(f"{draw(blank)}{{{draw(blank)}{before}", written(draw(label)), f"{after}}}{draw(blank)}"))
    return draw(st.sampled_from(["", BOM])), lines, draw(st.sampled_from(["\n", "\r\n", "\n\n"]))


def joined(start, lines, end):
    return (start + end.join("".join(line) for line in lines) + end).encode()


def said(value):
    value = json.loads(value, parse_int=lambda digits: digits, parse_float=lambda digits: digits)
    return value if isinstance(value, str) else json.dumps(value)


class TestJsonLines:
    @given(json_tables(), st.data())
    def test_the_wanted_values_change_and_no_other_byte(self, table, draw):
        start, lines, end = table
        path = in_folder("data.jsonl", joined(*table))
        wanted = draw.draw(
            st.dictionaries(st.integers(0, len(lines) - 1), LABEL | st.sampled_from(["7", "-1e3", "true"]))
        )
        result = rewritten(path, "label", wanted)
        found = [line for line in result.decode().removeprefix(start).split("\n") if line.strip()]
        for row, (line, new) in enumerate(zip(lines, found, strict=True)):
            new = new.removesuffix(end.strip("\n"))
            json.loads(new)
            assert new.startswith(line.before)
            assert new.endswith(line.after)
            value = new[len(line.before) : len(new) - len(line.after)]
            assert said(value) == wanted.get(row, said(line.value))
            if said(value) == said(line.value):
                assert value == line.value
            lines[row] = line._replace(value=value)
        assert joined(*table) == result

    @given(json_tables())
    def test_the_same_labels_are_the_same_bytes(self, table):
        path = in_folder("data.jsonl", joined(*table))
        same = {row: said(line.value) for row, line in enumerate(table[1])}
        assert rewritten(path, "label", same) == joined(*table)

    @pytest.mark.parametrize(
        ("old", "label", "new"),
        [
            ('"a"', "b", '"b"'),
            ('"1"', "2", '"2"'),
            ("1", "2", "2"),
            ("1", "2.50", "2.50"),
            ("1", "two", '"two"'),
            ("1", "02", '"02"'),
            ("1", " 2", '" 2"'),
            ("true", "false", "false"),
            ("true", "1", '"1"'),
            ("1", "true", '"true"'),
            ("1", "NaN", '"NaN"'),
            ("1", "null", '"null"'),
            ("1", '"2"', r'"\"2\""'),
            ('"a"', "é", r'"\u00e9"'),
            ('"ä"', "é", '"é"'),
        ],
    )
    def test_numbers_stay_numbers_and_ascii_stays_ascii(self, tmp_path, old, label, new):
        path = csv_file(tmp_path, f'{{"label": {old}}}\n', "data.jsonl")
        assert rewritten(path, "label", {0: label}) == f'{{"label": {new}}}\n'.encode()

    def test_labels_are_as_they_are_written(self, tmp_path):
        rows = '{"label": 1}\n{"label": 1.0, "x": 1}\n\n{"label": true}\n{"label": "01"}\n' * 5
        labels, class_names = read_labels(csv_file(tmp_path, rows, "data.ndjson"), "label")
        assert labels[:4] == ["1", "1.0", "true", "01"]
        assert class_names == ("01", "1", "1.0", "true")

    def test_the_table(self, tmp_path):
        path = csv_file(tmp_path, '\ufeff{"text": "=1", "stars": 1}\n\n{"text": "NA", "stars": 2}', "data.jsonl")
        assert read_table(path).to_pydict() == {"text": ["=1", "NA"], "stars": [1, 2]}

    @pytest.mark.parametrize("last", ['"2020-01-02"', '"unknown"', "null", "7", "[1]"])
    def test_texts_do_not_depend_on_the_other_rows(self, tmp_path, last):
        path = tmp_path / "data.jsonl"
        path.write_text('{"day": "2020-01-01", "x": 1}\n\n{"x": 2}\n{"day": ' + last + "}\n")
        shown = last.strip('"') if last != "null" else ""
        # In a list there is no text to be read: then the column is as any other, and None where it has nothing.
        expected = ["2020-01-01", None if last == "[1]" else "", shown]
        assert read_table(path, texts=["day", "absent"])["day"].to_pylist() == expected

    def test_a_column_of_several_kinds_is_text_and_the_others_are_what_they_are(self, tmp_path):
        lines = ['{"m": 1, "x": 1, "d": "2020-01-01"}', '{"m": true, "x": 2.5, "x": 3}', '{"m": null, "x": null}',
                 '{"m": "\\u00e9", "x": 4}', '{"m": {"a": [1]}, "x": 5}']  # fmt: skip
        table = read_table(csv_file(tmp_path, BOM + "\n".join(lines), "data.jsonl"))
        assert table["m"].to_pylist() == ["1", "true", None, "é", '{"a": [1]}']
        assert table["x"].to_pylist() == [1, 3, None, 4, 5]
        assert pa.types.is_timestamp(table["d"].type)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (
                '{"label": ',
                r"a JSON object in every line: Expecting value at column \d+ of line 4 \(row 2, counted from 0",
            ),
            ('{"label": "a"} {"label": "b"}', "in every line: Extra data at column 16 of line 4"),
            ("[1]", r"must have a JSON object in every line, got another value in line 4 \(row 2"),
            ("3", "must have a JSON object in every line, got another value in line 4"),
            ('{"label": ' + "[" * 100_000, "is nested too deeply in line 4"),
            ('{"other": 1}', r"has no label in line 4 \(row 2"),
            ('{"label": null}', "has no label in line 4"),
            ('{"label": NaN}', "has no label in line 4"),
            ('{"label": ""}', "has no label in line 4"),
            ('{"label": ["a"]}', "must have text or a number as label, got something else in line 4"),
            (r'{"label": "\ud800"}', "must have text or a number as label, got something else in line 4"),
        ],
    )
    def test_a_line_that_has_no_label_is_named(self, tmp_path, line, message):
        path = csv_file(tmp_path, '{"label": "a"}\n\n{"label": "b"}\n' + line + '\n{"label": "b"}\n', "data.jsonl")
        with pytest.raises(ValueError, match=message) as raised:
            read_labels(path, "label")
        assert "\n" not in str(raised.value)

    def test_a_column_that_is_not_there(self, tmp_path):
        path = csv_file(tmp_path, '{"lable": "a"}\n{"text": "a"}\n', "data.jsonl")
        with pytest.raises(
            ValueError, match=r"unknown column of .* 'label'; did you mean 'lable'\? \(one of: lable, text"
        ):
            read_labels(path, "label")

    def test_a_label_of_brackets_is_written_as_text(self, tmp_path):
        path = csv_file(tmp_path, '{"label": "a"}\n' * 5 + '{"label": "b"}\n' * 5, "data.jsonl")
        brackets = "[" * 100_000
        rewrite_labels(path, tmp_path / "rewritten.jsonl", "label", {0: brackets})
        assert json.loads((tmp_path / "rewritten.jsonl").read_text().splitlines()[0]) == {"label": brackets}

    def test_the_table_names_the_row_that_is_no_object(self, tmp_path):
        with pytest.raises(ValueError, match=r"data.jsonl must have a JSON object in every line, got another.* line 2"):
            read_table(csv_file(tmp_path, '{"a": 1}\n[2]\n', "data.jsonl"))


CATEGORIES = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1, 0], pa.int8()), ["b", "a", "unused"], ordered=True)


class TestParquet:
    def write(self, tmp_path, labels, **options):
        others = {"text": ["=1", None, "é", "", "x"], "label": labels, "nested": [[{"a": 1}], [], None, [], []]}
        schema = pa.table(others).schema.with_metadata({"who": "me"})
        table = pa.table(others, schema=schema.set(0, schema.field(0).with_metadata({"unit": "none"})))
        pq.write_table(table, tmp_path / "data.parquet", row_group_size=2, **options)
        return tmp_path / "data.parquet"

    @pytest.mark.parametrize(
        ("labels", "new", "expected"),
        [
            (pa.array(["a", "b", "a", "b", "a"]), "c", "c"),
            (pa.array(["a", "b", "a", "b", "a"], pa.large_string()), "c", "c"),
            (pa.array(["a", "b", "a", "b", "a"], pa.string_view()), "c", "c"),
            (pa.array([1, 2, 1, 2, 1], pa.int8()), "3", 3),
            (pa.array([0.1, 2, 0.1, 2, 0.1], pa.float32()), "2.5", 2.5),
            (pa.array([True, False, True, False, True]), "false", False),
            (CATEGORIES, "a", "a"),
            (CATEGORIES, "new", "new"),
            (pa.array([1, 2, 1, 2, 1]).dictionary_encode(), "3", 3),
        ],
    )
    @pytest.mark.parametrize("compression", ["none", "zstd", {"label": "gzip", "text": "snappy"}])
    def test_only_the_label_changes(self, tmp_path, labels, new, expected, compression):
        source, target = self.write(tmp_path, labels, compression=compression), tmp_path / "rewritten.parquet"
        rewrite_labels(source, target, "label", {0: new, 4: new})
        before, after = pq.ParquetFile(source), pq.ParquetFile(target)
        assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
        assert after.num_row_groups == before.num_row_groups == 3
        for group in range(3):
            old, changed = before.metadata.row_group(group), after.metadata.row_group(group)
            assert changed.num_rows == old.num_rows
            for part in range(old.num_columns):
                assert changed.column(part).compression == old.column(part).compression
        old, changed = before.read(), after.read()
        assert changed.drop(["label"]).equals(old.drop(["label"]))
        values = old["label"].to_pylist()
        assert changed["label"].to_pylist() == [expected, *values[1:4], expected]

    def test_old_timestamps_of_any_year_stay(self, tmp_path):
        until = [
            datetime(9999, 12, 31),
            None,
            datetime(2020, 1, 2, 3, 4, 5, 678901),
            datetime(1, 1, 1),
            datetime(2021, 1, 1),
        ]
        table = pa.table({"until": pa.array(until, pa.timestamp("us")), "label": ["a", "b", "a", "b", "a"]})
        pq.write_table(table, tmp_path / "data.parquet", use_deprecated_int96_timestamps=True)
        rewrite_labels(tmp_path / "data.parquet", tmp_path / "rewritten.parquet", "label", {0: "b"})
        assert read_table(tmp_path / "data.parquet")["until"].to_pylist() == until
        assert pq.read_table(tmp_path / "rewritten.parquet")["until"].to_pylist() == until

    def test_old_timestamps_that_would_lose_nanoseconds_are_refused(self, tmp_path):
        table = pa.table({"at": pa.array([1001, 2000], pa.timestamp("ns")), "label": ["a", "b"]})
        pq.write_table(table, tmp_path / "data.parquet", use_deprecated_int96_timestamps=True)
        with pytest.raises(ValueError, match="finer than a microsecond as INT96 in at: write them as INT64"):
            rewrite_labels(tmp_path / "data.parquet", tmp_path / "rewritten.parquet", "label", {0: "b"})
        assert [path.name for path in tmp_path.iterdir()] == ["data.parquet"]

    @pytest.mark.parametrize("compliant", [False, True])
    def test_the_parts_of_a_list_keep_name_and_compression(self, tmp_path, compliant):
        compression = {"label": "gzip", "nested.list.item.a": "zstd", "nested.list.element.a": "zstd"}
        source = self.write(
            tmp_path, ["a", "b", "a", "b", "a"], use_compliant_nested_type=compliant, compression=compression
        )
        rewrite_labels(source, tmp_path / "rewritten.parquet", "label", {0: "b"})
        before, after = pq.ParquetFile(source), pq.ParquetFile(tmp_path / "rewritten.parquet")
        assert after.schema.equals(before.schema)
        parts = [file.metadata.row_group(0).column(2) for file in (before, after)]
        assert [part.compression for part in parts] == ["ZSTD", "ZSTD"]

    def test_a_dictionary_keeps_its_order(self, tmp_path):
        rewrite_labels(self.write(tmp_path, CATEGORIES), tmp_path / "rewritten.parquet", "label", {0: "new"})
        column = read_table(tmp_path / "rewritten.parquet")["label"].unify_dictionaries().chunk(0)
        assert column.dictionary.to_pylist() == ["b", "a", "unused", "new"]

    def test_the_same_labels_are_the_same_table(self, tmp_path):
        source = self.write(tmp_path, pa.array([0.1, 2, 0.1, 2, 0.1], pa.float32()))
        rewrite_labels(source, tmp_path / "rewritten.parquet", "label", {0: "0.1", 1: "2"})
        assert read_table(tmp_path / "rewritten.parquet").equals(read_table(source))

    @pytest.mark.parametrize(
        ("labels", "new", "message"),
        [
            (pa.array([1, 2, 1, 2, 1]), "two", "labels of column label must be of its type int64, got 'two'"),
            (pa.array([1, 2, 1, 2, 1]), "02", "must be of its type int64, got '02'"),
            (pa.array([1, 2, 1, 2, 1], pa.int8()), "200", "must be of its type int8, got '200'"),
        ],
    )
    def test_a_label_its_type_cannot_hold(self, tmp_path, labels, new, message):
        source = self.write(tmp_path, labels)
        with pytest.raises(ValueError, match=message):
            rewrite_labels(source, tmp_path / "rewritten.parquet", "label", {0: new})
        assert list(tmp_path.iterdir()) == [source]

    def test_a_dictionary_without_room(self, tmp_path):
        words = [f"{word:03}" for word in range(128)]
        labels = pa.DictionaryArray.from_arrays(pa.array([*range(128)], pa.int8()), words)
        pq.write_table(pa.table({"label": labels}), tmp_path / "data.parquet")
        with pytest.raises(ValueError, match=r"column label of type dictionary.* has no room for 129 labels"):
            rewritten(tmp_path / "data.parquet", "label", {0: "new"})

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (pa.array(["a", None, "b", "b", "b"]), "has no label in row 1, counted from 0"),
            (pa.array(["a", "a", " ", "b", "b"]), "has no label in row 2"),
            (pa.array([1.0, 2.0, 1.0, float("nan"), 1.0]), "has no label in row 3"),
            (pa.array(["a", None, "b", "b", "b"]).dictionary_encode(), "has no label in row 1"),
            (pa.array([b"a"] * 5), "must have text, integers, floats or truth values as label, got binary"),
            (pa.array([[1]] * 5), "must have text, integers, floats or truth values as label, got list"),
            (pa.array([b"a", b"\xff", b"a", b"b", b"c"]).view(pa.string()), "or it is damaged: .*UTF8"),
            (pa.nulls(5), "got null"),
        ],
    )
    def test_what_is_no_label(self, tmp_path, labels, message):
        with pytest.raises(ValueError, match=message) as raised:
            read_labels(self.write(tmp_path, labels), "label")
        assert "\n" not in str(raised.value)

    @pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", lambda data: data[:40] + data[60:]])
    def test_damaged_files(self, tmp_path, damage):
        path = self.write(tmp_path, pa.array(["a", "b", "a", "b", "a"]))
        path.write_bytes(damage(path.read_bytes()))
        for read in (read_table, lambda path: read_labels(path, "label")):
            with pytest.raises(ValueError, match=r"data.parquet is not a Parquet file, or it is damaged") as raised:
                read(path)
            assert "\n" not in str(raised.value)

    def test_no_column_and_no_rows(self, tmp_path):
        path = self.write(tmp_path, pa.array(["a", "b", "a", "b", "a"]))
        with pytest.raises(ValueError, match=r"unknown column of .*data.parquet 'lable'; did you mean 'label'"):
            read_labels(path, "lable")
        pq.write_table(read_table(path).slice(0, 0), path)
        with pytest.raises(ValueError, match=r"data.parquet holds no rows"):
            read_labels(path, "label")
        rewrite_labels(path, tmp_path / "rewritten.parquet", "label", {})
        assert read_table(tmp_path / "rewritten.parquet").equals(read_table(path))


class TestRewriting:
    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ({2: "a"}, r"labels must be of rows within \[0, 2\), got row 2"),
            ({-1: "a"}, r"got row -1"),
            ({0: " "}, "labels must not be empty, got ' ' for row 0"),
        ],
    )
    def test_rows_and_labels_that_cannot_be(self, tmp_path, labels, message):
        path = csv_file(tmp_path, "label\na\nb\n")
        with pytest.raises(ValueError, match=message):
            rewritten(path, "label", labels)
        assert list(tmp_path.iterdir()) == [path]

    def test_a_file_may_take_its_own_place(self, tmp_path):
        path = csv_file(tmp_path, "label\na\nb\n")
        rewrite_labels(path, path, "label", {1: "a"})
        assert path.read_bytes() == b"label\na\na\n"

    def test_files_that_are_none(self, tmp_path):
        with pytest.raises(ValueError, match=r"a table must be a file in .csv, .jsonl, .ndjson, .parquet, got .*x.txt"):
            read_labels(csv_file(tmp_path, "label\na\n", "x.txt"), "label")
        for name in ("x.csv", "x.jsonl", "x.parquet"):
            with pytest.raises(ValueError, match=rf"there is no file .*{name}"):
                read_table(tmp_path / name)
