import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fitting"))  # the makers of small noisy data

from noisy_data import KINDS, own_code, read_csv, table, write_csv

from labelnoise.tasks import fit, predict
from labelnoise.training import fabric

QUICK = {"epochs": 2, "workers": 1, "loss": "gce", "refine": False, "folds": 0, "device": "cpu"}


@pytest.mark.parametrize("kind", KINDS)
def test_validation_rows_are_predicted_as_they_were_in_training(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(fabric, "_gains_by_bfloat16", lambda _: False)  # a prediction is in float32
    task, kept = importlib.import_module("labelnoise.tasks.fit"), []
    fit_candidates = task.fit_candidates

    def spy(prepared, *arguments, **settings):
        fitted = fit_candidates(prepared, *arguments, **settings)
        kept.append((prepared.validation.index, fitted.trained[fitted.chosen].validation))
        return fitted

    monkeypatch.setattr(task, "fit_candidates", spy)
    data = KINDS[kind](tmp_path)
    fit(data.path, out=tmp_path / "fit", **QUICK, **data.options)
    found = predict(tmp_path / "fit", data.path, out=tmp_path / "p.csv", root=data.options.get("root"))
    (index, validation) = kept[0]
    probability, number = validation.max(1)
    assert np.allclose(found.probability[index], probability, atol=1e-6)
    assert [found.labels[row] for row in index] == [("cat", "dog")[label] for label in number]
    rows = read_csv(tmp_path / "p.csv")
    assert [row["index"] for row in rows] == [str(row) for row in range(len(data.given))]
    assert [row["label"] for row in rows] == list(found.labels)
    assert np.allclose([float(row["probability"]) for row in rows], found.probability, atol=1e-5)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    data = table(folder)
    fit(data.path, out=folder / "fit", **QUICK, **data.options)
    return folder / "fit"


def test_new_rows_need_no_label_and_may_be_messy(fitted, tmp_path):
    rows = [("1.5", "mauve", "extra"), ("", "", ""), ("no number", "white", "="), ("1e308", "brown", "")]
    new = write_csv(tmp_path / "new.csv", ("size", "colour", "note"), rows)
    found = predict(fitted, new, out=tmp_path / "p.csv")
    assert len(found.labels) == 4
    assert np.isfinite(found.probability).all()
    again = predict(fitted, write_csv(tmp_path / "one.csv", ("colour", "size"), [("mauve", "1.5")]), out=tmp_path / "q")
    assert again.labels[0] == found.labels[0]
    assert again.probability[0] == pytest.approx(found.probability[0], abs=1e-6)


def test_a_column_that_names_rows_is_not_needed(tmp_path):
    data = table(tmp_path)
    named = tmp_path / "named.csv"
    rows = [[f"n{i}", *row.values()] for i, row in enumerate(read_csv(data.path))]
    write_csv(named, ("name", "size", "colour", "unit", "label"), rows)
    fit(named, out=tmp_path / "fit", id="name", **QUICK, **data.options)
    assert read_csv(tmp_path / "fit" / "labels.csv")[3]["id"] == "n3"
    assert len(predict(tmp_path / "fit", data.path, out=tmp_path / "p.csv").labels) == 160


def test_what_does_not_fit_is_refused_and_nothing_written(fitted, tmp_path):
    out = tmp_path / "p.csv"
    (tmp_path / "empty.csv").touch()
    (tmp_path / "latin.csv").write_bytes(b"size,colour\n1,caf\xe9\n")
    np.savez(tmp_path / "f.npz", features=np.eye(3))
    for new, message in [
        (tmp_path / "nowhere.csv", "there is no file"),
        (tmp_path / "empty.csv", "is empty"),
        (tmp_path / "latin.csv", "must be UTF-8"),
        (write_csv(tmp_path / "lacking.csv", ("size",), [(1,)]), "must have one column colour"),
        (write_csv(tmp_path / "twice.csv", ("size", "size", "colour"), [(1, 2, "red")]), "must have one column size"),
        (tmp_path / "f.npz", "must be of the kind table, as in training, got features"),
    ]:
        with pytest.raises(ValueError, match=message):
            predict(fitted, new, out=out)
    with pytest.raises(ValueError, match="root must be given with a table of image paths only, got nowhere"):
        predict(fitted, tmp_path / "f.npz", out=out, root="nowhere")
    assert not out.exists()
    new = write_csv(tmp_path / "new.csv", ("size", "colour", "", ""), [(1, "red", "", "")])
    assert len(predict(fitted, new, out=tmp_path / "q.csv").labels) == 1  # columns that nothing was learned of
    with pytest.raises(ValueError, match="out must be a file that can be written"):
        predict(fitted, new, out=tmp_path / "nowhere" / "p.csv")
    with pytest.raises(ValueError, match="holds no fitted model"):
        predict(tmp_path, new, out=out)


def test_the_data_are_not_replaced_by_their_predictions(fitted, tmp_path):
    new = write_csv(tmp_path / "new.csv", ("size",), [(1,), (2,)])
    before = new.read_bytes()
    with pytest.raises(ValueError, match="out must be another file than the data"):
        predict(fitted, new, out=tmp_path / "x" / ".." / "new.csv")
    assert new.read_bytes() == before


def test_own_code_runs_only_when_it_is_named_again(tmp_path):
    data, mine = KINDS["npz features"](tmp_path), own_code(tmp_path)
    fit(data.path, out=tmp_path / "fit", model=f"{mine}:linear", **QUICK)
    with pytest.raises(ValueError, match="is your own; give --model"):
        predict(tmp_path / "fit", data.path, out=tmp_path / "p.csv")
    assert len(predict(tmp_path / "fit", data.path, out=tmp_path / "p.csv", model=f"{mine}:linear").labels) == 160


def test_class_names_run_nowhere(tmp_path):
    rows = [("purr meow" if i % 2 else "bark fetch", ("=cat", "-dog")[i % 2]) for i in range(60)]
    data = write_csv(tmp_path / "t.csv", ("text", "label"), rows)
    fit(data, out=tmp_path / "fit", label="label", text="text", **QUICK)
    found = predict(tmp_path / "fit", data, out=tmp_path / "p.csv")
    assert set(found.labels) <= {"=cat", "-dog"}
    with (tmp_path / "p.csv").open(newline="") as file:
        assert {row["label"][0] for row in csv.DictReader(file)} == {"'"}


def test_a_fit_holds_no_pickle(fitted):
    assert (fitted / "config.json").exists()
    for path in fitted.rglob("*"):
        assert not path.read_bytes().startswith((b"\x80", b"PK"))  # a pickle, torch's archive of one


def test_what_a_row_is_does_not_depend_on_the_rows_beside_it(tmp_path):
    """CSV knows no types: of True, False and 012 alone a reader would make truth values and a number."""
    rows = [("True", "012", "a"), ("False", "034", "b"), ("unknown", "A1", "a"), ("False", "012", "b")] * 20
    train = write_csv(tmp_path / "train.csv", ("member", "zip", "label"), rows)
    fit(train, out=tmp_path / "fit", label="label", test=train, **QUICK | {"epochs": 30})
    few = write_csv(tmp_path / "few.csv", ("member", "zip"), [row[:2] for row in rows[:2]])
    many = write_csv(tmp_path / "many.csv", ("member", "zip"), [row[:2] for row in rows])
    alone, among = (predict(tmp_path / "fit", data, out=tmp_path / "p.csv") for data in (few, many))
    assert np.allclose(alone.probability, among.probability[:2], atol=1e-6)  # another size of batch
    assert alone.labels == among.labels[:2] == ("a", "b")
    tested = write_csv(tmp_path / "test.csv", ("member", "zip", "label"), rows[:2])
    assert (
        fit(train, out=tmp_path / "again", label="label", test=tested, **QUICK | {"epochs": 30}).metrics[
            "test_accuracy_best"
        ]
        == 1
    )


def test_names_of_rows_are_kept_as_they_are_written(tmp_path):
    rows = [(f"{row:03}", row % 7, "ab"[row % 2]) for row in range(40)]
    train = write_csv(tmp_path / "train.csv", ("key", "size", "label"), rows)
    fit(train, out=tmp_path / "fit", label="label", id="key", **QUICK)
    assert [row["id"] for row in read_csv(tmp_path / "fit" / "labels.csv")] == [row[0] for row in rows]
