import pytest

from labelnoise.fitting.cells import csv_bytes, read_cells, whole_number

LONG = "x" * 200_000
HOSTILE = [
    "=1+1",
    "a\rb",
    "\r\n",
    LONG,
    "-1",
    "-1+1",
    "'=1+1",
    "+cmd|' /C calc'!A0",
    "a,b",
    'say "no"',
    "two\nlines",
    "",
    " padded ",
    "<script>",
    "ü",
]


def test_what_is_written_is_read_again_and_runs_nowhere(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_bytes(csv_bytes(("index", "=label"), enumerate(HOSTILE)))
    assert [row["=label"] for row in read_cells(path, "index", "=label")] == HOSTILE
    text = path.read_text()
    assert ",=" not in text
    assert ",+" not in text
    assert ",-1\n" in text  # a plain number is what it is
    assert ",-1+" not in text


def test_what_a_spreadsheet_leaves_is_read(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_bytes(b"\xef\xbb\xbfindex, decision ,label\r\n1,keep\r\n,,\r\n\r\n2,accept,dog\r\n")
    assert read_cells(path, "index", "decision") == [
        {"index": "1", "decision": "keep", "label": ""},
        {"index": "2", "decision": "accept", "label": "dog"},
    ]


def test_other_marks_in_texts_are_no_header_whatever_ends_the_lines(tmp_path):
    (tmp_path / "cells.csv").write_bytes(b'"in;dex"\ra;b\r')
    assert read_cells(tmp_path / "cells.csv", "in;dex") == [{"in;dex": "a;b"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b'"in,dex";"label"\n1;a\n', "must have commas"),
        (b"index;label\n1;a\n", "must have commas"),
        (b"index\tlabel\n", "must have commas"),
        (b"index,label\n1,a,b\n", "at most 2 cells in a row, as in its header, got 3 in line 2"),
        (b"row,label\n1,a\n", "unknown column"),
        (b'index,label,note\n1,a,\n2,b,"see\n3,c,\n', "a quote in line 3 that is never closed"),
        (b"index,label\n1,caf\xe9\n", "must be UTF-8 text"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path, content, message):
    (tmp_path / "cells.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_cells(tmp_path / "cells.csv", "index", "label")


@pytest.mark.parametrize("cell", ["-1", "1.0", "", "x", "²"])
def test_an_index_is_a_whole_number(tmp_path, cell):
    assert whole_number(tmp_path, " 12 ") == 12
    with pytest.raises(ValueError, match="row numbers from 0"):
        whole_number(tmp_path, cell)
