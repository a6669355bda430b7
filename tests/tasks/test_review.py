import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the maker of audits

from reviewed import (
    CLASSES,
    N,
    audit_folder,
    audited_images,
    audited_table,
    decide,
    labels,
    read_rows,
    write_rows,
    write_table,
)

from labelnoise.audit import escape_cell, unescape_cell
from labelnoise.datasets import _own_rewrite
from labelnoise.datasets._own_rewrite import OwnLabels, rewrite_own
from labelnoise.datasets._table_file import read_labels
from labelnoise.tasks._audit_folder import AuditedRow, AuditFolder
from labelnoise.tasks._decisions import Decision, read_decisions
from labelnoise.tasks.audit import audit_files
from labelnoise.tasks.review import draw_review_sample, review


@pytest.fixture
def folder(tmp_path):
    return audited_table(tmp_path)


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def suggestions(folder):
    return {int(row["index"]): unescape_cell(row["suggested_label"]) for row in read_rows(folder / "labels.csv")}


def refused(folder, message, **options):
    """A review that ends in one line and has written nothing."""
    before = files(folder.parent)
    with pytest.raises(ValueError, match=message) as caught:
        review(folder, **options)
    assert files(folder.parent) == before
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_decisions_in_labels_csv_make_a_table_with_other_labels_and_all_else_as_it_was(tmp_path, suffix):
    folder = audited_table(tmp_path, suffix=suffix)
    decide(folder / "labels.csv", {0: "accept", 1: " KEEP ", 10: "Accept", 20: escape_cell(CLASSES[3])})
    done = review(folder)
    suggested = suggestions(folder)
    expected = labels()
    for row, label in ((0, suggested[0]), (10, suggested[10]), (20, CLASSES[3])):
        assert label != expected[row]
        expected[row] = label
    assert read_labels(done.out, "label").labels == expected
    assert done.out == folder / f"cleaned{suffix}"
    assert (done.rows, done.changed, done.confirmed, done.undecided, done.replaced) == (N, 3, 1, N - 4, 0)
    write_table(tmp_path / f"expected{suffix}", expected)  # the same writer, told the labels at once
    if suffix == ".parquet":
        assert pq.read_table(done.out).equals(pq.read_table(tmp_path / "expected.parquet"))
    else:
        assert done.out.read_bytes() == (tmp_path / f"expected{suffix}").read_bytes()
    provenance = [{name: unescape_cell(cell) for name, cell in row.items()} for row in read_rows(done.provenance)]
    assert list(provenance[0]) == ["index", "id", "given_label", "label", "decision"]
    assert [row["index"] for row in provenance] == ["0", "1", "10", "20"]
    assert [row["decision"] for row in provenance] == ["accept", "keep", "accept", "relabel"]
    assert [row["label"] for row in provenance] == [expected[row] for row in (0, 1, 10, 20)]
    assert [row["given_label"] for row in provenance] == [labels()[row] for row in (0, 1, 10, 20)]


def test_repeating_a_review_writes_the_same_bytes(folder):
    decide(folder / "labels.csv", {0: "accept", 7: "keep"})
    first = review(folder)
    before = files(folder)
    assert review(folder) == first
    assert files(folder) == before
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_decisions_as_the_report_downloads_them_win_over_earlier_ones(folder, tmp_path):
    decide(folder / "labels.csv", {0: "accept", 7: "keep"})
    review(folder)
    decide(folder / "labels.csv", {0: "", 7: ""})
    suggested = suggestions(folder)
    rows = [(0, "relabel", escape_cell(CLASSES[2])), (10, "accept", escape_cell(suggested[10]))]
    write_rows(tmp_path / "mine.csv", ("index", "decision", "label"), rows)
    done = review(folder, decisions=tmp_path / "mine.csv")
    assert (done.changed, done.confirmed, done.replaced) == (2, 1, 1)
    decided = [{name: unescape_cell(cell) for name, cell in row.items()} for row in read_rows(done.decisions)]
    assert [tuple(row.values())[:4] for row in decided] == [
        ("0", "relabel", CLASSES[2], CLASSES[0]),
        ("7", "keep", CLASSES[3], CLASSES[3]),
        ("10", "accept", suggested[10], CLASSES[2]),
    ]
    assert read_labels(done.out, "label").labels[0] == CLASSES[2]


def test_a_relabel_to_the_given_label_confirms_it(folder, tmp_path):
    write_rows(tmp_path / "mine.csv", ("index", "decision", "label"), [(1, "relabel", escape_cell(CLASSES[1]))])
    done = review(folder, decisions=tmp_path / "mine.csv")
    assert (done.changed, done.confirmed) == (0, 1)
    assert done.out.read_bytes() == (tmp_path / "data.csv").read_bytes()


def test_a_table_that_went_through_a_spreadsheet(folder):
    decide(folder / "labels.csv", {0: "ACCEPT"})
    header = list(read_rows(folder / "labels.csv")[0])
    rows = [list(row.values()) for row in read_rows(folder / "labels.csv")]
    rows.sort(key=lambda row: row[2], reverse=True)
    write_rows(folder / "labels.csv", header, [*rows, [""] * len(header), []])
    text = (folder / "labels.csv").read_bytes().replace(b"two\nlines", b"two\0lines").replace(b"\n", b"\r\n")
    (folder / "labels.csv").write_bytes(b"\xef\xbb\xbf" + text.replace(b"two\0lines", b"two\nlines"))
    assert review(folder).changed == 1


def test_a_class_that_is_called_as_a_decision_is_not_guessed_at(tmp_path):
    audit = AuditFolder(tmp_path, ("Accept", "Reject"), {2: AuditedRow("2", "Accept", "Reject", ".9")})
    path = tmp_path / "mine.csv"
    path.write_text("index,decision\n2,Accept\n")
    with pytest.raises(
        ValueError, match=r"decision in row 2 of .* may be the word or the class 'accept'; a column label"
    ):
        read_decisions(path, audit)
    path.write_text("index,decision,label\n2,relabel,Accept\n")
    assert read_decisions(path, audit) == {2: Decision("relabel", "Accept")}
    path.write_text("index,decision\n2,Reject\n")
    assert read_decisions(path, audit) == {2: Decision("relabel", "Reject")}


def test_rows_may_lack_their_last_empty_cells_and_ids(tmp_path):
    folder = audited_table(tmp_path, with_ids=False)
    (tmp_path / "mine.csv").write_text("index,decision,label\n0,accept\n1\n")
    done = review(folder, decisions=tmp_path / "mine.csv")
    assert (done.changed, done.undecided) == (1, N - 1)
    assert read_rows(done.provenance)[0]["id"] == "0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index,decision\n3,acept\n", "unknown decision in row 3 of .*mine.csv 'acept'; did you mean 'accept'"),
        ("index,decision,label\n3,=cat,\n", r"unknown decision in row 3 .* \(one of: accept, keep, relabel\)"),
        (
            "index,decision,label\n3,relabel,'=ca\n",
            "(?s)unknown label in row 3 .*; did you mean '=cat'.*a new class needs",
        ),
        ("index,decision,label\n3,relabel,\n", "label must name a class .* got none in row 3"),
        ("index,decision\n3,relabel\n", "label must name a class .* got none in row 3"),
        (
            "index,decision,label\n3,keep,'=cat\n",
            "label must be 'two.*lines', which keep means, .* in row 3 .*another audit",
        ),
        (
            "index,decision,given_label\n3,keep,'=cat\n",
            "must have the audit's given_label 'two.*lines' in row 3, got '=cat'",
        ),
        (
            "index,decision,suggested_label\n3,accept,dog\n",
            "must have the audit's suggested_label .* in row 3, got 'dog'",
        ),
        ("index,decision\n120,keep\n", r"rows of the audit, which are within \[0, 119\], got row 120"),
        ("index,decision\n-1,keep\n", "row numbers from 0 as index, got '-1'"),
        ("index,decision\n1.5,keep\n", "row numbers from 0 as index, got '1.5'"),
        ("index,decision\n3,keep\n3,=cat\n", "decide each row once, got keep .* and relabel .* for row 3"),
        ("index;decision\n3;keep\n", "must have commas between its cells, got 'index;decision'"),
        ("index\tdecision\n3\tkeep\n", "must have commas between its cells"),
        ("index,dcision\n3,keep\n", "unknown column of .*mine.csv 'decision'; did you mean 'dcision'"),
        ("index,decision\n3,keep,7\n", "must have at most 2 cells in a row, as in its header, got 3 in line 2"),
        ("index,decision\n", "must have accept, keep or relabel as decision in some row, got none"),
        ("index,decision\n3,\n", "must have accept, keep or relabel as decision in some row, got none"),
        ("", "mine.csv is empty"),
    ],
)
def test_decisions_that_cannot_be_meant_are_one_line_that_names_the_row(folder, tmp_path, text, message):
    (tmp_path / "mine.csv").write_text(text)
    refused(folder, message, decisions=tmp_path / "mine.csv")


def test_decisions_that_are_not_utf8_or_not_there(folder, tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"index,decision\n3,k\xe9\xe9p\n")
    refused(folder, "mine.csv must be UTF-8 text", decisions=tmp_path / "mine.csv")
    refused(folder, "none.csv cannot be read", decisions=tmp_path / "none.csv")


def test_an_audit_that_is_incomplete_or_edited(folder):
    whole = (folder / "labels.csv").read_text()
    decide(folder / "labels.csv", {0: "accept"})
    decided = read_rows(folder / "labels.csv")
    write_rows(folder / "labels.csv", list(decided[0]), [list(row.values()) for row in decided[1:]])
    refused(folder, "labels.csv must have all 120 rows of the audit, in any order, got 119")
    write_rows(folder / "labels.csv", list(decided[0]), [list(row.values()) for row in [*decided[1:], decided[1]]])
    refused(folder, "labels.csv must have each row once, got row 1 twice")
    (folder / "labels.csv").write_text(whole.replace("'=cat", "#NAME?", 1))
    refused(folder, "labels.csv must name classes of the audit, got '#NAME.' in row")
    (folder / "labels.csv").write_text(whole)
    for name in ("labels.csv", "summary.json"):
        (folder / name).rename(folder / "away")
        refused(folder, f"{name} cannot be read")
        (folder / "away").rename(folder / name)
    (folder / "summary.json").write_text("{}")
    refused(folder, "summary.json must be the summary of an audit")
    (folder / "summary.json").write_text("[")
    refused(folder, "summary.json is no JSON")


def test_a_source_that_is_missing_or_says_nothing(folder):
    decide(folder / "labels.csv", {0: "accept"})
    (folder / "source.json").write_text('{"kind": "table", "data": "x.csv", "label": null}')
    refused(folder, "source.json must say where the data of the audit lie, got kind 'table', label None")
    (folder / "source.json").unlink()
    refused(folder, "source.json cannot be read")


def test_data_that_have_changed_or_moved(folder, tmp_path):
    decide(folder / "labels.csv", {0: "accept"})
    data = tmp_path / "data.csv"
    before = data.read_bytes()
    data.write_bytes(before.replace(b"=x", b"=y", 1))
    refused(folder, "data.csv must be as it was audited, got another checksum: audit it anew")
    data.unlink()
    refused(folder, r"data must lie where they were audited, .*data.csv, or be passed as data \(--data\)")
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "d.csv").write_bytes(before)
    assert review(folder, data=tmp_path / "moved" / "d.csv").changed == 1
    source = json.loads((folder / "source.json").read_text())
    write_table(tmp_path / "other.csv", labels()[::-1])
    (folder / "source.json").write_text(json.dumps({**source, "sha256": None}))
    refused(folder, r"other.csv must be as it was audited, with .* in row 0, got", data=tmp_path / "other.csv")


def test_what_is_not_a_copy_of_an_earlier_review_is_never_replaced(folder, tmp_path):
    decide(folder / "labels.csv", {0: "accept"})
    (tmp_path / "mine.csv").write_text("precious")
    (tmp_path / "beside.csv.provenance.csv").write_text("precious")
    (tmp_path / "link.csv").symlink_to(tmp_path / "data.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, message in {
        "mine.csv": "out must not exist yet, or be the copy of an earlier review",
        "beside.csv": "out must not exist yet",
        "folder.csv": "out must not exist yet",
        "audit/labels.csv": "out must not exist yet",
        "data.csv": "out must not be the data themselves",
        "link.csv": "out must not be the data themselves",
        "copy.parquet": "out must end in .csv, as the data",
        "no/such/copy.csv": "out must lie in a folder that exists",
    }.items():
        refused(folder, message, out=tmp_path / name)
    before = (tmp_path / "data.csv").read_bytes()
    first = review(folder, out=tmp_path / "copy.csv")
    decide(folder / "labels.csv", {0: "keep"})
    assert review(folder, out=tmp_path / "copy.csv").changed == 0
    assert first.provenance == tmp_path / "copy.csv.provenance.csv"
    assert (tmp_path / "copy.csv").read_bytes() == (tmp_path / "data.csv").read_bytes() == before


def test_a_failure_leaves_the_copy_and_the_decisions_as_they_were(folder, monkeypatch):
    decide(folder / "labels.csv", {0: "accept"})
    review(folder)
    decide(folder / "labels.csv", {0: "", 10: "accept"})
    before = files(folder)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_own_rewrite, "rewrite_labels", full_disk)
    with pytest.raises(OSError, match="No space left"):
        review(folder)
    assert files(folder) == before


def test_decisions_of_other_data_in_the_folder(folder):
    decide(folder / "labels.csv", {0: "accept"})
    (folder / "decisions.csv").write_text("index,decision,label,given_label\n1,keep,dog,dog\n")
    refused(
        folder, "decisions.csv must hold decisions of these data, got 'keep', 'dog' for 'dog' in row 1; move it away"
    )


@pytest.mark.parametrize("given", [np.array([3, 7] * 30, dtype=np.uint8), np.array(["ant", "beetle"] * 30)])
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_arrays_keep_their_type_and_all_else(tmp_path, kind, given):
    features = np.random.default_rng(0).random((60, 3), dtype=np.float32)
    if kind == "npz":
        np.savez_compressed(tmp_path / "d.npz", labels=given, features=features, more=np.array(["x"]))
        data, labels_file = tmp_path / "d.npz", None
    else:
        np.save(tmp_path / "x.npy", features)
        np.save(tmp_path / "y.npy", given)
        data, labels_file = tmp_path / "x.npy", tmp_path / "y.npy"
    folder = audit_folder(
        tmp_path / "audit", data=data, kind=kind, given=list(map(str, given)), labels_file=labels_file
    )
    decide(folder / "labels.csv", {0: "accept", 1: str(given[0]), 2: "keep"})
    done = review(folder)
    assert done.out == folder / f"cleaned.{kind}"
    expected = given.copy()
    expected[0], expected[1] = given[1], given[0]
    loaded = np.load(done.out, allow_pickle=False)
    found = loaded["labels"] if kind == "npz" else loaded
    assert found.dtype == given.dtype
    assert found.tolist() == expected.tolist()
    if kind == "npz":
        assert sorted(loaded.files) == ["features", "labels", "more"]
        assert (loaded["features"] == features).all()
        loaded.close()
    before = done.out.read_bytes()
    review(folder)
    assert done.out.read_bytes() == before


def test_a_class_that_was_never_given_can_be_decided_on(tmp_path):
    np.save(tmp_path / "p.npy", np.tile([[0.5, 0.4, 0.1], [0.4, 0.5, 0.1]], (30, 1)))
    np.save(tmp_path / "y.npy", np.tile([0, 1], 30))
    audit_files(tmp_path / "p.npy", tmp_path / "y.npy", out=tmp_path / "audit")
    decide(tmp_path / "audit" / "labels.csv", {0: "2", 3: "2"})
    assert np.load(review(tmp_path / "audit").out).tolist() == [2, 1, 0, 2, *[0, 1] * 28]


@pytest.mark.parametrize(
    ("array", "label", "expected"),
    [(np.array(["a", "b"]), "longer", ["longer", "b"]), (np.array([0, 1], np.uint8), "7", [7, 1])],
)
def test_labels_no_row_has_yet_fit_into_the_array(tmp_path, array, label, expected):
    np.save(tmp_path / "y.npy", array)
    place = OwnLabels(tmp_path / "y.npy", "npy")
    rewrite_own(place, tmp_path / "new.npy", {0: label})
    assert np.load(tmp_path / "new.npy").tolist() == expected
    if array.dtype == np.uint8:
        for bad in ("300", "dog", "-1", "1.5"):
            with pytest.raises(ValueError, match=f"must be a whole number of uint8, got '{bad}'"):
                rewrite_own(place, tmp_path / "new.npy", {0: bad})


def test_damaged_arrays_are_one_line(tmp_path):
    given = np.array([0, 1] * 30)
    np.savez(tmp_path / "d.npz", labels=given, features=np.ones((60, 1)))
    folder = audit_folder(tmp_path / "audit", data=tmp_path / "d.npz", kind="npz", given=list(map(str, given)))
    decide(folder / "labels.csv", {0: "accept"})
    source = json.loads((folder / "source.json").read_text())
    (folder / "source.json").write_text(json.dumps({**source, "sha256": None}))
    data = (tmp_path / "d.npz").read_bytes()
    ones = np.ones(60).tobytes()
    assert ones in data
    for content, message in {
        data[:200]: "d.npz cannot be read",
        data.replace(ones, ones[::-1]): "d.npz cannot be read: Bad CRC-32",
    }.items():
        (tmp_path / "d.npz").write_bytes(content)
        refused(folder, message)
    np.savez(tmp_path / "d.npz", labels=np.array([object()] * 60))
    refused(folder, "d.npz cannot be read: it holds Python objects, which are never loaded")
    np.savez(tmp_path / "d.npz", labels=np.ones((60, 2)))
    refused(folder, "d.npz must hold labels as integers or text")


def test_images_are_copied_into_the_folders_of_their_labels(tmp_path):
    folder, ids = audited_images(tmp_path)
    moved = ids[0]
    decide(folder / "labels.csv", {0: "accept", 1: "keep"})
    before = files(tmp_path / "pets")
    done = review(folder)
    assert moved.startswith("bird/")
    expected = {Path(name): content for name, content in before.items()}
    expected[Path(moved.replace("bird", "cat", 1))] = expected.pop(Path(moved))
    assert done.out == folder / "cleaned"
    assert files(done.out) == expected
    assert files(tmp_path / "pets") == before
    assert read_rows(done.provenance)[0]["id"] == moved

    decide(folder / "labels.csv", {0: "keep"})
    (done.out / ".DS_Store").touch()
    review(folder)
    assert files(done.out) == before
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_a_copy_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    folder, _ = audited_images(tmp_path)
    decide(folder / "labels.csv", {0: "accept"})
    (tmp_path / "real").mkdir()
    (tmp_path / "copy").symlink_to("real")
    for expected in ({0: "accept"}, {1: "keep"}):
        decide(folder / "labels.csv", expected)
        (tmp_path / "copy.provenance.csv").write_text("index,id,given_label,label,decision\n")
        review(folder, out=tmp_path / "copy")
    assert (tmp_path / "copy").is_symlink()
    assert len(files(tmp_path / "real")) == len(files(tmp_path / "pets"))


def test_a_folder_that_holds_more_than_a_copy_stays(tmp_path):
    folder, _ = audited_images(tmp_path)
    decide(folder / "labels.csv", {0: "accept"})
    done = review(folder)
    (done.out / "cat" / "mine.png").write_bytes(b"precious")
    refused(folder, "out must hold nothing but an earlier copy of the data, got also .*mine.png")
    refused(folder, "out must lie outside of the data", out=tmp_path / "pets" / "cleaned")
    (tmp_path / "empty").mkdir()
    refused(folder, "out must not exist yet", out=tmp_path / "empty")


def test_an_image_whose_name_is_taken_lies_in_a_subfolder_named_by_its_class(tmp_path):
    folder, ids = audited_images(tmp_path, same_names=True)
    decide(folder / "labels.csv", {0: "accept"})
    for _ in range(2):  # the second replaces the copy that the first one made
        done = review(folder)
        before, after = files(tmp_path / "pets"), files(done.out)
        assert after.pop(Path("cat", ids[0])) == before.pop(Path(ids[0]))
        assert after == before


def test_images_that_would_get_one_name(tmp_path):
    audited_images(tmp_path, same_names=True)
    shutil.copytree(tmp_path / "pets" / "bird", tmp_path / "pets" / "cat" / "bird")
    both = "cat/bird/deep/000.png and bird/deep/000.png for cat/bird/deep/000.png"
    with pytest.raises(ValueError, match=f"different names for images of one class, got {both}"):
        rewrite_own(OwnLabels(tmp_path / "pets", "folder"), tmp_path / "copy", {0: "cat"})
    assert not (tmp_path / "copy").exists()


def test_ids_and_links_that_lead_out_of_the_folder(tmp_path):
    folder, ids = audited_images(tmp_path)
    decide(folder / "labels.csv", {0: "accept"})
    whole = (folder / "labels.csv").read_bytes()
    (tmp_path / "secret.png").write_bytes(b"secret")
    for name in ("bird/../../secret.png", str(tmp_path / "secret.png"), "bird/none.png"):
        decide(folder / "labels.csv", {0: name}, column="id")
        refused(folder, f"pets must be as it was audited, with 'bird' .{name}. in row 0, got .*{ids[0]}.*audit it anew")
    (folder / "labels.csv").write_bytes(whole)
    inside = tmp_path / "pets" / ids[0]
    inside.unlink()
    inside.symlink_to(tmp_path / "secret.png")
    refused(folder, "is a link that leads out of")
    inside.unlink()
    refused(folder, "pets must be as it was audited")


def test_class_names_that_lead_out_of_the_copy(tmp_path):
    folder, _ = audited_images(tmp_path)
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, "class_names": ["bird", "cat", "../../evil"]}))
    decide(folder / "labels.csv", {0: "../../evil"})
    refused(folder, r"unknown subfolder of .*pets '../../evil'")


def test_a_sample_is_drawn_once_without_what_would_bias_its_reader(folder):
    drawn = draw_review_sample(folder, size=40, seed=2)
    assert (drawn.is_new, drawn.size, drawn.open, drawn.estimate) == (True, 40, 40, None)
    rows = read_rows(drawn.path)
    assert list(rows[0]) == ["index", "id", "given_label", "decision", "label", "data: text"]
    index = [int(row["index"]) for row in rows]
    assert [row["data: text"] for row in rows] == [f"'=x\n{row}" for row in index]  # a spreadsheet runs nothing
    assert len(set(index)) == 40
    assert index != sorted(index)
    assert [unescape_cell(row["given_label"]) for row in rows] == [labels()[row] for row in index]
    strata = json.loads((folder / "sample.json").read_text())["strata"]
    assert sum(stratum["rows"] for stratum in strata) == N
    assert sorted(row for stratum in strata for row in stratum["index"]) == sorted(index)

    before = files(folder)
    assert not draw_review_sample(folder, size=40, seed=3).is_new
    assert files(folder) == before
    again = draw_review_sample(folder, size=30, seed=2)
    assert (again.is_new, len(read_rows(again.path))) == (True, 30)
    decide(folder / "sample.csv", {int(read_rows(again.path)[0]["index"]): "keep"})
    before = files(folder)
    kept = draw_review_sample(folder, size=40)
    assert (kept.is_new, kept.size, kept.open) == (False, 30, 29)
    assert files(folder) == before


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_sample_shows_what_the_table_says_of_its_rows(tmp_path, suffix):
    rows = read_rows(draw_review_sample(audited_table(tmp_path, suffix=suffix), size=20).path)
    name, cell = {".jsonl": ("n", "{}"), ".parquet": ("text", "t{}")}[suffix]
    assert [row[f"data: {name}"] for row in rows] == [cell.format(row["index"]) for row in rows]


def test_a_sample_of_data_that_have_changed_shows_nothing_of_them(folder, tmp_path):
    write_table(tmp_path / "data.csv", labels()[::-1])
    rows = read_rows(draw_review_sample(folder, size=20).path)
    assert list(rows[0]) == ["index", "id", "given_label", "decision", "label"]
    (tmp_path / "data.csv").unlink()
    assert len(read_rows(draw_review_sample(folder, size=30).path)) == 30


def test_the_order_of_labels_csv_does_not_change_the_sample(folder):
    first = draw_review_sample(folder, size=30).path.read_bytes()
    rows = read_rows(folder / "labels.csv")
    write_rows(folder / "labels.csv", list(rows[0]), [list(row.values()) for row in rows[::-1]])
    (folder / "sample.csv").unlink()
    assert draw_review_sample(folder, size=30).path.read_bytes() == first


def test_the_count_comes_from_the_sample_alone_once_it_is_complete(folder):
    summary = json.loads((folder / "summary.json").read_text())
    index = [int(row["index"]) for row in read_rows(draw_review_sample(folder, size=40).path)]
    outside = next(row for row in range(0, N, 10) if row not in index)
    decide(folder / "labels.csv", {outside: "accept"})  # was looked at because it looks wrong
    wrong = set(index[:8])
    other = {row: CLASSES[(row + 2) % 4] for row in wrong}
    decide(folder / "sample.csv", {row: "relabel" if row in wrong else "keep" for row in index[:-1]})
    decide(folder / "sample.csv", {row: escape_cell(name) for row, name in other.items()}, column="label")
    partly = review(folder)
    assert (partly.sample.open, partly.sample.estimate) == (1, None)
    assert (partly.changed, partly.confirmed) == (9, 31)
    assert json.loads((folder / "summary.json").read_text()) == summary

    decide(folder / "sample.csv", {index[-1]: "keep"})
    done = review(folder)
    estimate = done.sample.estimate
    assert estimate.rate == pytest.approx(8 / 40)  # four strata of 30 rows, 10 drawn of each
    assert 0.1 < estimate.low < 0.2 < estimate.high < 0.33
    reviewed = {"size": 40, "rate": estimate.rate, "low": estimate.low, "high": estimate.high}
    assert json.loads((folder / "summary.json").read_text()) == {**summary, "reviewed_sample": reviewed}
    assert all(read_labels(done.out, "label").labels[row] == name for row, name in other.items())
    assert review(folder).sample == done.sample


def test_a_row_decided_otherwise_in_the_sample_and_elsewhere(folder):
    index = int(read_rows(draw_review_sample(folder, size=20).path)[0]["index"])
    decide(folder / "sample.csv", {index: "keep"})
    other = CLASSES[(index + 1) % 4]
    decide(folder / "labels.csv", {index: escape_cell(other)})
    refused(folder, f"decisions must not differ from those in the random sample, got relabel .* for row {index}")
    decide(folder / "labels.csv", {index: "keep"})
    assert review(folder).confirmed == 1


def test_a_sample_of_another_audit_or_a_damaged_one(folder):
    draw_review_sample(folder, size=20)
    whole = (folder / "sample.json").read_text()
    decide(folder / "labels.csv", {0: "accept"})
    for text, message in {
        "{}": "sample.json must be of this audit",
        '{"strata": [{"rows": 120}]}': "sample.json must hold the strata of a sample",
        '{"strata": [{"rows": 5, "index": [1, 2]}]}': "must be of this audit, got 2 rows of 5 in all",
        '{"strata": [{"rows": 120, "index": [1, 999]}]}': "sample.json must be of this audit",
        '{"strata": [{"rows": 120, "index": [999]}]}': "sample.json must be of this audit",
        '{"strata": [{"rows": 120, "index": [1]}]}': "sample.csv must have only the rows that were drawn, got row",
    }.items():
        (folder / "sample.json").write_text(text)
        refused(folder, message)
    (folder / "sample.json").write_text(whole)
    assert review(folder).sample.open == 20


def test_a_seed_that_is_none(folder):
    with pytest.raises(ValueError, match="seed must be a whole number, 0 or more, got -1"):
        draw_review_sample(folder, size=5, seed=-1)


@pytest.mark.parametrize("size", [1, 0, -5, N + 1])
def test_sizes_that_cannot_be_drawn(folder, size):
    before = files(folder)
    with pytest.raises(ValueError, match=rf"size must be within \[2, {N}\], the number of rows, got {size}"):
        draw_review_sample(folder, size=size)
    assert files(folder) == before


def test_a_sample_needs_numbers_but_not_the_data(folder, tmp_path):
    shutil.move(tmp_path / "data.csv", tmp_path / "away.csv")
    assert draw_review_sample(folder, size=20).is_new
    (folder / "sample.csv").unlink()
    decide(folder / "labels.csv", {3: "0,25"}, column="p_wrong")
    with pytest.raises(ValueError, match=r"p_wrong must be numbers in every row of labels.csv: .*'0,25'"):
        draw_review_sample(folder, size=20)
