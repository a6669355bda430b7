import pytest

from labelnoise.fitting.trusted import Decided, read_decisions


def decisions(folder, text):
    (folder / "decisions.csv").write_text(text)
    return read_decisions(folder / "decisions.csv")


def test_decided_rows_have_their_label_and_undecided_ones_are_left_out(tmp_path):
    text = "index,decision,label,given_label\n3,accept,dog,cat\n5,,,\n7,keep,'=cat,'=cat\n3,relabel,dog,cat\n"
    assert decisions(tmp_path, text) == {
        3: Decided("accept", "dog", "cat"),
        7: Decided("keep", "=cat", "=cat"),
    }


def test_names_of_columns_may_be_quoted(tmp_path):
    assert decisions(tmp_path, '"index","decision","label"\n"3"," Accept","dog"\n') == {3: Decided("accept", "dog")}


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_lines_may_end_as_in_a_spreadsheet(tmp_path, end):
    path = tmp_path / "decisions.csv"
    path.write_bytes(f"index,decision,label{end}3,accept,dog{end}".encode())
    assert read_decisions(path) == {3: Decided("accept", "dog")}
    path.write_bytes(f"x,label{end}3,dog{end}".encode())
    assert read_decisions(path) is None
    path.write_bytes(b'"' + 200_000 * b"x")
    assert read_decisions(path) is None


def test_a_file_that_holds_no_decisions_is_data(tmp_path):
    assert decisions(tmp_path, "index,label\n3,dog\n") is None
    (tmp_path / "x.npz").write_bytes(b"no table")
    assert read_decisions(tmp_path / "x.npz") is None
    assert read_decisions(tmp_path) is None


def test_a_filled_list_of_labels_is_reviewed_first(tmp_path):
    text = "index,given_label,suggested_label,p_wrong,decision\n3,cat,dog,.9,accept\n"
    with pytest.raises(ValueError, match=r"is a list of labels; labelnoise review makes the decisions\.csv"):
        decisions(tmp_path, text)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "must hold decisions, got none"),
        ("1,,dog", "must hold decisions, got none"),
        ("1,accept,", "must have a label beside each decision, got none for row 1"),
        ("-1,accept,dog", "row numbers from 0"),
        ("1,unsure,dog", r"unknown decision in row 1 of .*decisions.csv 'unsure'"),
        ("1,accept,dog\n1,keep,cat", "must decide once on row 1, got 'dog' and 'cat'"),
    ],
)
def test_half_a_decision_is_refused(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        decisions(tmp_path, f"index,decision,label\n{rows}\n")
