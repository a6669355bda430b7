import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1] / "fitting"))  # the makers of small noisy data

from noisy_data import CLASSES, KINDS, features, image_table, own_code, read_csv, table, texts, write_csv

from labelnoise.audit import AuditWarning
from labelnoise.datasets._own import Columns, OwnData, read_own
from labelnoise.tasks import fit as task
from labelnoise.tasks import review
from labelnoise.tasks._fit_findings import _shown, _told_by

QUICK = {"epochs": 8, "workers": 1, "loss": "gce", "refine": False, "folds": 0, "device": "cpu"}


def fit(data, out, **options):
    return task(data.path, out=out, **{**QUICK, **data.options, **options})


def bytes_of(folder):
    """Of everything but the report, which tells the time it took, and the plan, which estimates it."""
    names = ("model.safetensors", "config.json", "labels.csv", "summary.json", "metrics.json")
    return {name: (folder / name).read_bytes() for name in names}


def untouched(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["table", "npz features"])
def test_the_wrong_labels_are_found(tmp_path, kind):
    data = KINDS[kind](tmp_path)
    found = fit(data, tmp_path / "fit", epochs=30, folds=None)  # of so few rows, five
    rows = read_csv(tmp_path / "fit" / "labels.csv")
    flagged = np.array([row["is_issue"] == "True" for row in rows])
    assert (flagged == data.wrong).mean() > 0.95
    for row, is_wrong in zip(rows, data.wrong, strict=True):
        if is_wrong and row["is_issue"] == "True":
            assert row["suggested_label"] == CLASSES[1 - CLASSES.index(row["given_label"])]
    assert found.summary["estimated_error_rate_low"] <= 0.15 <= found.summary["estimated_error_rate_high"]
    assert found.metrics["validation_accuracy"] > 0.7  # its labels are as wrong as the others


@pytest.mark.parametrize(("rows", "folds"), [(499, 5), (500, 0), (4, 0)])
def test_few_rows_are_audited_by_folds(rows, folds):
    assert importlib.import_module("labelnoise.tasks.fit")._folds(None, rows) == folds


@pytest.mark.parametrize("seed", [0, 2])
def test_of_a_few_hundred_rows_that_are_easily_told_apart_only_the_wrong_labels_are_flagged(tmp_path, seed):
    """The best epoch comes before the network has left its start, from which it would favour one class."""
    random = np.random.default_rng(seed)
    true = random.integers(0, 2, 700)
    features = 0.4 * random.standard_normal((700, 3)) + 4 * true[:, None] * np.eye(3)[0]
    given = np.where(np.arange(700) < 3, 1 - true, true)
    np.savez(tmp_path / "easy.npz", features=features.astype(np.float32), labels=given)
    found = task(tmp_path / "easy.npz", out=tmp_path / "fit", **{**QUICK, "epochs": 60, "seed": seed})
    assert found.metrics["best_epoch"] < 15
    rows = read_csv(tmp_path / "fit" / "labels.csv")
    assert [row["index"] for row in rows if row["is_issue"] == "True"] == ["0", "1", "2"]
    assert found.summary["estimated_error_rate"] == pytest.approx(3 / 700, abs=0.003)


def test_the_folder_holds_what_the_readme_says_and_no_pickle(tmp_path):
    found = fit(table(tmp_path), tmp_path / "fit", test=table(tmp_path, 40, name="test.csv", wrong=0).path)
    held = sorted(path.name for path in (tmp_path / "fit").rglob("*"))
    assert held == [
        ".lock", "config.json", "labels.csv", "metrics.json", "model.safetensors", "plan.json", "report.html",
        "source.json", "summary.json",
    ]  # fmt: skip
    metrics = json.loads((tmp_path / "fit" / "metrics.json").read_text())
    assert metrics == found.metrics
    wanted = {"loss", "validation_accuracy", "balanced_accuracy", "macro_f1", "recall_per_class"}
    assert metrics.keys() >= wanted | {"test_accuracy_best", "test_accuracy_last"}
    assert metrics["recall_per_class"].keys() == set(CLASSES)
    assert all(0 <= metrics[name] <= 1 for name in wanted - {"loss", "recall_per_class"})
    summary = json.loads((tmp_path / "fit" / "summary.json").read_text())
    assert summary == found.summary
    assert summary.keys() >= {
        "num_samples", "num_issues", "estimated_errors", "estimated_error_rate", "estimated_error_rate_low",
        "estimated_error_rate_high", "transition_matrix", "error_rate_by_given_class",
    }  # fmt: skip
    columns = list(read_csv(tmp_path / "fit" / "labels.csv")[0])
    assert columns[:8] == [
        "index", "id", "given_label", "suggested_label", "p_wrong", "quality", "is_issue", "decision",
    ]  # fmt: skip
    assert {"mean_margin", "loss"} <= set(columns)


def test_all_candidates_are_shown_and_the_refined_one_too(tmp_path):
    found = fit(table(tmp_path), tmp_path / "fit", loss="auto", refine=True, epochs=20)
    names = [candidate["name"] for candidate in found.metrics["candidates"]]
    assert names[:4] == ["gce q=0.7", "gce q=0.4", "cce", "pruned_gce"]
    assert names[4].endswith(", refined")
    for candidate in found.metrics["candidates"]:
        assert 0 <= candidate["standard_error"] < 0.2
        assert candidate["test_accuracy_best"] is None
    assert found.metrics["loss"] in names
    report = (tmp_path / "fit" / "report.html").read_text()
    assert all(reason.split(":")[0].replace("&", "&amp;") in report for reason in found.metrics["reasons"])


def test_the_same_call_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    data = texts(tmp_path)
    for name, seed in (("first", 0), ("second", 0), ("other", 1)):
        fit(data, tmp_path / name, folds=2, epochs=6, seed=seed)
    assert bytes_of(tmp_path / "first") == bytes_of(tmp_path / "second")
    assert bytes_of(tmp_path / "first")["labels.csv"] != bytes_of(tmp_path / "other")["labels.csv"]


def test_test_labels_choose_nothing(tmp_path):
    data = table(tmp_path)
    honest = table(tmp_path, 40, name="honest.csv", wrong=0)
    poisoned = table(tmp_path, 40, name="poisoned.csv", wrong=1)
    options = {"loss": "auto", "refine": True, "epochs": 6}
    right = fit(data, tmp_path / "right", test=honest.path, **options).metrics
    wrong = fit(data, tmp_path / "wrong", test=poisoned.path, **options).metrics
    none = fit(data, tmp_path / "none", **options).metrics
    (kept,) = (candidate for candidate in right["candidates"] if candidate["name"] == right["loss"])
    names = ("test_accuracy_best", "test_accuracy_last")
    assert [right[name] for name in names] == [kept[name] for name in names]
    assert right["test_accuracy_best"] > 0.8
    assert wrong["test_accuracy_best"] == pytest.approx(1 - right["test_accuracy_best"])
    for name in ("model.safetensors", "labels.csv", "config.json"):
        assert len({(tmp_path / folder / name).read_bytes() for folder in ("right", "wrong", "none")}) == 1
    assert right["loss"] == wrong["loss"] == none["loss"]


def test_a_finished_fit_is_left_as_it_is_wherever_its_data_have_moved(tmp_path):
    data, told = table(tmp_path), []
    first = fit(data, tmp_path / "fit")
    before = untouched(tmp_path / "fit")
    moved = data._replace(path=data.path.rename(tmp_path / "moved.csv"))
    again = fit(moved, tmp_path / "fit", tell=told.append)
    assert told == [f"{tmp_path / 'fit'} holds this fit already: there is nothing to do."]
    after = untouched(tmp_path / "fit")
    assert {path.name for path in after if after[path] != before[path]} == {"source.json"}
    assert again == first
    assert review(tmp_path / "fit", decisions=decisions(tmp_path, None, [1])).rows == 160


def test_data_that_change_in_a_column_that_is_not_used_can_be_reviewed_after_another_call(tmp_path):
    rows = [(row % 7, f"note {row}", CLASSES[row % 2]) for row in range(60)]
    path = write_csv(tmp_path / "data.csv", ("size", "note", "label"), rows)
    options = {"label": "label", "ignore": ["note"], **QUICK}
    task(path, out=tmp_path / "fit", **options)
    before = untouched(tmp_path / "fit")
    write_csv(path, ("size", "note", "label"), [(size, "other", label) for size, _, label in rows])
    checked = decisions(tmp_path, None, [1])
    with pytest.raises(ValueError, match="got another checksum: audit it anew"):
        review(tmp_path / "fit", decisions=checked)
    task(path, out=tmp_path / "fit", **options)
    after = untouched(tmp_path / "fit")
    assert {path.name for path in after if after[path] != before[path]} == {"source.json"}
    assert review(tmp_path / "fit", decisions=checked).rows == 60


def test_other_names_of_the_rows_are_another_fit(tmp_path):
    rows = [(row, row % 7, CLASSES[row % 2]) for row in range(60)]
    path = write_csv(tmp_path / "data.csv", ("name", "size", "label"), rows)
    task(path, out=tmp_path / "fit", label="label", id="name", **QUICK)
    write_csv(path, ("name", "size", "label"), [(f"n{row}", *rest) for row, *rest in rows])
    with pytest.raises(ValueError, match=r"holds a fit with other settings \(data\)"):
        task(path, out=tmp_path / "fit", label="label", id="name", **QUICK)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"epochs": 4},
        {"loss": "cce"},
        {"balanced": True},
        {"folds": 2},
        {"budget": "5m"},
        {"model": "mlp"},
        {"refine": True},
        {"assume": "class"},
        {"max_false_flags": 0.1},
        {"precision": "32-true"},
        {"image_size": 16},
    ],
)
def test_another_fit_is_refused_unless_it_may_overwrite(tmp_path, changes):
    data = features(tmp_path, 60)
    fit(data, tmp_path / "fit", epochs=3)
    before = untouched(tmp_path / "fit")
    with pytest.raises(ValueError, match=rf"other settings \({next(iter(changes))}\)"):
        fit(data, tmp_path / "fit", **{"epochs": 3, **changes})
    assert untouched(tmp_path / "fit") == before


@pytest.mark.parametrize("folds", [0, 2])
def test_the_audit_reads_and_flags_as_it_was_told(tmp_path, folds):
    data = features(tmp_path, 200)
    fit(data, tmp_path / "by_class", folds=folds, assume="class")
    fit(data, tmp_path / "by_instance", folds=folds, assume="instance", max_false_flags=0.01)
    by_class, by_instance = (
        json.loads((tmp_path / name / "summary.json").read_text()) for name in ("by_class", "by_instance")
    )
    assert (by_class["reading"], by_instance["reading"]) == ("class", "instance")
    assert by_class["threshold"] == 0.5 < by_instance["threshold"]


def test_overwriting_is_as_if_nothing_had_been_there(tmp_path):
    data = table(tmp_path)
    fit(data, tmp_path / "fit")
    fit(data, tmp_path / "fit", seed=1, overwrite=True)
    fit(data, tmp_path / "new", seed=1)
    assert bytes_of(tmp_path / "fit") == bytes_of(tmp_path / "new")


def test_data_that_change_are_another_fit_and_are_read_anew(tmp_path):
    fit(table(tmp_path), tmp_path / "fit")
    changed = table(tmp_path, wrong=0.05)  # the same path and columns
    with pytest.raises(ValueError, match=r"other settings \(data\)"):
        fit(changed, tmp_path / "fit")
    fit(changed, tmp_path / "fit", overwrite=True)
    rows = read_csv(tmp_path / "fit" / "labels.csv")
    assert [row["given_label"] for row in rows] == changed.given.tolist()


def test_images_of_a_test_table_that_change_are_another_fit(tmp_path):
    data = image_table(tmp_path)
    fit(data, tmp_path / "fit", epochs=1, test=data.path)
    first, second = sorted((tmp_path / "pets" / "cat").iterdir())[:2]
    test = write_csv(tmp_path / "test.csv", ("file", "label"), [(f"cat/{first.name}", "cat")])
    fit(data, tmp_path / "other", epochs=1, test=test)
    pixels = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(ValueError, match=r"other settings \(data, test\)"):
        fit(data, tmp_path / "other", epochs=1, test=test)
    first.write_bytes(pixels)


@pytest.mark.parametrize("options", [{"test": "no.csv"}, {"loss": "mae_"}, {"model": "mpl"}, {"trusted": "bad.csv"}])
def test_a_mistake_leaves_no_trace_that_hinders_the_next_call(tmp_path, options):
    data = table(tmp_path)
    (tmp_path / "bad.csv").write_text("index,decision,label\n999,keep,cat\n")
    options = {name: tmp_path / value if "." in value else value for name, value in options.items()}
    with pytest.raises(ValueError, match=r"there is no file|did you mean|must decide on rows"):
        fit(data, tmp_path / "fit", **options)
    fit(data, tmp_path / "fit", epochs=1)


def test_a_mistake_while_overwriting_costs_no_results(tmp_path):
    data = table(tmp_path)
    fit(data, tmp_path / "fit", epochs=1)
    unknown = write_csv(tmp_path / "test.csv", ("size", "colour", "label"), [(1, "red", "cow")])
    before = bytes_of(tmp_path / "fit")
    with pytest.raises(ValueError, match="which the data never have"):
        fit(data, tmp_path / "fit", epochs=1, test=unknown, overwrite=True)
    assert bytes_of(tmp_path / "fit") == before
    with pytest.raises(ValueError, match=r"other settings \(.*seed.*\)"):
        fit(data, tmp_path / "fit", epochs=1, seed=5)
    told = []
    fit(data, tmp_path / "fit", epochs=1, tell=told.append)
    assert "there is nothing to do" in told[0]


def test_the_precision_is_shown_and_can_be_said(tmp_path):
    told, data = [], table(tmp_path)
    for options in ({}, {"precision": "bf16-mixed"}):
        folder = tmp_path / f"fit {len(options)}"
        fit(data, folder, epochs=1, tell=told.append, **options)
        resolved = options.get("precision", "32-true")
        assert json.loads((folder / "plan.json").read_text())["plan"]["recipe"]["precision"] == resolved
        assert any(f"batches of 32, {resolved}" in line for line in told)
    with pytest.raises(ValueError, match="other settings"):
        fit(data, folder, epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"folds": 1}, "folds must be 0 or at least 2, got 1"),
        ({"folds": -2}, "folds must be 0 or at least 2, got -2"),
        ({"folds": 161}, "folds must be at most 160, the rows that are to be audited, got 161"),
        ({"budget": "soon"}, "budget must be a time"),
        ({"image_size": 0}, "image_size must be within"),
        ({"image_size": 100_000}, "image_size must be within"),
        ({"max_false_flags": 1.0}, r"max_false_flags must be a fraction within \[0, 1\)"),
        ({"loss": "forward"}, "loss forward needs a setting 'transition'; give a FILE.py:Loss that makes it"),
        ({"device": "tpu"}, "device must be"),
        ({"precision": "16-true"}, "unknown precision '16-true'"),
        ({"label": "unit"}, "at least two classes"),
        ({"label": "size"}, "has no size in line 2"),
        ({"truth": "table.csv"}, "unknown column of .*index"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_trained(tmp_path, monkeypatch, options, message):
    monkeypatch.setattr(importlib.import_module("labelnoise.tasks.fit"), "fit_candidates", None)
    data = table(tmp_path)
    if "truth" in options:
        options = {"truth": tmp_path / options["truth"]}
    with pytest.raises(ValueError, match=message):
        fit(data, tmp_path / "fit", **options)


def decisions(folder, data, rows):
    right = [(row, "relabel", CLASSES[row % 2]) for row in rows]
    return write_csv(folder / "decisions.csv", ("index", "decision", "label"), right)


def test_decisions_are_never_doubted_and_choose(tmp_path):
    data = table(tmp_path)
    rows = range(0, 160, 4)
    found = fit(data, tmp_path / "fit", trusted=decisions(tmp_path, data, rows), epochs=30)
    assert found.metrics["validation_labels"] == "checked and noisy"
    assert found.metrics["validation_samples"] == 40 + 24  # a fifth of the others, beside so few
    page = (tmp_path / "fit" / "report.html").read_text()
    assert "accuracy, checked and noisy validation" in page
    assert "as noisy as the rest" not in page
    assert not {f'"index":{row},' for row in rows} & set(re.findall(r'"index":\d+,', page))
    table_rows = read_csv(tmp_path / "fit" / "labels.csv")
    for row in rows:
        said = table_rows[row]
        assert said["suggested_label"] == CLASSES[row % 2]
        assert said["is_issue"] == str(bool(data.wrong[row]))
        assert said["given_label"] == data.given[row]


def test_after_a_fit_with_decisions_a_review_finds_the_data_as_they_are(tmp_path):
    data = table(tmp_path)
    path = decisions(tmp_path, data, range(0, 160, 4))
    fit(data, tmp_path / "fit", trusted=path)
    done = review(tmp_path / "fit", decisions=path)
    assert done.changed == data.wrong[::4].sum()


@pytest.mark.parametrize("column", [{}, {"text": "said"}], ids=["table", "texts"])
def test_copies_are_counted(tmp_path, column):
    rows = [(f"it says {row * 7} {'meow' if row % 2 else 'woof'}", row * 7, CLASSES[row % 2]) for row in range(40)]
    copies = [rows[3], rows[4], (*rows[4][:2], CLASSES[1])]
    path, told = write_csv(tmp_path / "data.csv", ("said", "size", "label"), rows + copies), []
    task(path, out=tmp_path / "fit", label="label", tell=told.append, **QUICK | {"epochs": 1} | column)
    assert "Copies: 3 rows repeat another's inputs, 1 of them with another label" in told


def test_classes_are_listed_and_those_that_a_person_takes_for_one_are_told(tmp_path):
    labels = ["good"] * 20 + ["good "] * 6 + ["bad"] * 14
    path, told = write_csv(tmp_path / "data.csv", ("x", "label"), [(7 * n, y) for n, y in enumerate(labels)]), []
    task(path, out=tmp_path / "fit", label="label", tell=told.append, **QUICK | {"epochs": 1})
    assert "Classes: good 20, bad 14, good  6" in told
    assert "Alike: the classes 'good' and 'good ' differ in case or blanks alone" in told


def test_a_column_that_may_be_the_label_under_another_name_is_told(tmp_path):
    rows = [(row * 0.37 % 1, row % 2, "ab"[row % 4 // 2], CLASSES[row % 2]) for row in range(200)]
    rows[7] = (*rows[7][:3], CLASSES[0])
    path, told = write_csv(tmp_path / "data.csv", ("x", "code", "group", "label"), rows), []
    task(path, out=tmp_path / "fit", label="label", tell=told.append, **QUICK | {"epochs": 1})
    leaks = [line for line in told if line.startswith("Leak?")]
    assert leaks == ["Leak?: code alone tells 99.5% of the labels: if it was made from them, --ignore it"]


def test_where_nearly_all_labels_are_one_no_column_is_said_to_leak():
    labels = ["cat"] * 995 + ["dog"] * 5
    assert _told_by(pa.chunked_array([["a", None] * 500]), labels) == 0
    assert _told_by(pa.chunked_array([["a"] * 995 + [None] * 5]).dictionary_encode(), labels) == 1
    assert _told_by(pa.chunked_array([range(1000)]), labels) == 0  # of its own each


def test_texts_without_a_known_word_are_counted(tmp_path):
    said = ["it purrs", "it barks"] * 20 + ["!?", "hapax"]
    rows, told = [(text, CLASSES[row % 2]) for row, text in enumerate(said)], []
    path = write_csv(tmp_path / "data.csv", ("said", "label"), rows)
    task(path, out=tmp_path / "fit", label="label", text="said", tell=told.append, **QUICK | {"epochs": 1})
    assert "Empty: 2 texts without a word that others have too: nothing tells of their labels" in told


def test_what_a_folder_holds_beside_images_is_told(tmp_path):
    data, told = KINDS["image folder"](tmp_path), []
    (data.path / "cat" / "one.HEIC").touch()
    (data.path / "notes").touch()
    first = sorted((data.path / "cat").iterdir())[0]
    (data.path / "cover.png").write_bytes(first.read_bytes())
    fit(data, tmp_path / "fit", epochs=1, tell=told.append)
    beside = "images beside the subfolders (1), files that are no images by their suffix (.heic 1, no suffix 1)"
    assert f"Left out: {beside}" in told


def test_nanoseconds_are_shown(tmp_path):
    times = pa.array([10**18 + row for row in range(40)], pa.timestamp("ns"))
    labels = [CLASSES[row % 2] for row in range(40)]
    pyarrow.parquet.write_table(pa.table({"at": times, "list": [[1]] * 40, "label": labels}), tmp_path / "t.parquet")
    own = read_own(tmp_path / "t.parquet", Columns(label="label"))
    assert _shown(own, 0).text == "at: 2001-09-09 01:46:40.000000000\nlist: [1]"


def test_decisions_typed_into_the_list_are_not_overwritten(tmp_path):
    data = table(tmp_path)
    fit(data, tmp_path / "fit", epochs=1)
    labels = tmp_path / "fit" / "labels.csv"
    rows = read_csv(labels)
    write_csv(labels, list(rows[0]), [list((row | {"decision": "keep"}).values()) for row in rows])
    before = labels.read_bytes()
    with pytest.raises(ValueError, match=r"labels.csv has decisions in it; review them first and move it away"):
        fit(data, tmp_path / "fit", epochs=2, overwrite=True)
    assert labels.read_bytes() == before
    assert review(tmp_path / "fit").confirmed == len(rows)


def test_a_review_goes_on_where_the_trusted_decisions_ended(tmp_path):
    data = table(tmp_path)
    fit(data, tmp_path / "fit", trusted=decisions(tmp_path, data, range(0, 160, 4)))
    done = review(tmp_path / "fit", decisions=decisions(tmp_path, data, [1]))
    assert done.changed == data.wrong[::4].sum() + data.wrong[1]
    cleaned = [row["label"] for row in read_csv(done.out)]
    assert cleaned[::4] == [CLASSES[row % 2] for row in range(0, 160, 4)]


def test_a_fit_with_its_own_decisions_is_known_again(tmp_path):
    data = table(tmp_path)
    fit(data, tmp_path / "fit", epochs=1)
    rows = read_csv(tmp_path / "fit" / "labels.csv")
    row = next(row for row in rows if row["suggested_label"] != row["given_label"])
    said = tmp_path / "fit" / "decisions.csv"
    header = ("index", "decision", "label", "given_label", "id")
    write_csv(said, header, [(row["index"], "accept", row["suggested_label"], row["given_label"], row["id"])])
    fit(data, tmp_path / "fit", epochs=1, trusted=said, overwrite=True)
    assert read_csv(said)[0]["decision"] == "relabel"
    told = []
    fit(data, tmp_path / "fit", epochs=1, trusted=said, tell=told.append)
    assert "there is nothing to do" in told[0]


def test_a_handful_of_decisions_does_not_spoil_the_audit(tmp_path):
    data = table(tmp_path, 600)
    rows = np.flatnonzero(data.wrong)[:5].tolist()
    plain = fit(data, tmp_path / "plain", epochs=30)
    told = fit(data, tmp_path / "told", epochs=30, trusted=decisions(tmp_path, data, rows))
    truth = data.wrong.mean()
    for found in (plain, told):
        assert found.summary["estimated_error_rate"] == pytest.approx(truth, abs=0.03)


def test_checked_rows_of_another_file_choose_and_are_not_in_the_list(tmp_path):
    data, checked = texts(tmp_path), texts(tmp_path, 40, name="checked.csv", wrong=0)
    found = fit(data, tmp_path / "fit", trusted=checked.path, epochs=30)
    assert found.metrics["validation_samples"] == 40
    assert found.metrics["validation_accuracy"] > 0.95
    assert found.summary["num_samples"] == 160


def test_balanced_selection_is_by_the_mean_recall(tmp_path):
    rows = [
        (f"{x:.2f}", "rare" if i % 10 == 0 else "often")
        for i, x in enumerate(np.random.default_rng(0).normal(size=200))
    ]
    data = table(tmp_path)._replace(path=write_csv(tmp_path / "t.csv", ("x", "label"), rows))
    found = fit(data, tmp_path / "fit", balanced=True, loss="cce")
    assert found.metrics["selected_by"] == "balanced_accuracy"
    assert found.metrics["candidates"][0]["validation_accuracy"] == pytest.approx(found.metrics["balanced_accuracy"])


def test_the_users_own_loss_and_network_are_used_and_their_source_is_part_of_the_fit(tmp_path):
    data, mine = features(tmp_path), own_code(tmp_path)
    options = {"loss": f"{mine}:Loss", "model": f"{mine}:linear"}
    found = fit(data, tmp_path / "fit", **options)
    assert found.metrics["loss"] == options["loss"]
    weights = json.loads((tmp_path / "fit" / "config.json").read_text())["model"]
    assert weights == {"name": options["model"]}
    mine.write_text(mine.read_text() + "\n# changed\n")
    with pytest.raises(ValueError, match=r"other settings \(loss, model\)"):
        fit(data, tmp_path / "fit", **options)


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("loss", "NoLoss", "does not keep the contract of a loss: loss must give one value a label"),
        ("loss", "BrokenLoss", "does not keep the contract of a loss: boom"),
        ("loss", "NoMeanLoss", r"loss must give one number a batch, its reduction mean or sum, got \(1,\)"),
        ("loss", "NaNLoss", "no candidate could be trained: .*NaNLoss failed: the loss became nan"),
        ("loss", "nothing", "must define 'nothing'"),
        ("model", "narrow", "cannot be used: TypeError: logits must be of shape"),
        ("model", "broken", "cannot be used: RuntimeError: boom"),
    ],
)
def test_own_code_that_does_not_work_is_refused_in_one_line(tmp_path, option, name, message):
    data, mine = features(tmp_path), own_code(tmp_path)
    with pytest.raises(ValueError, match=message):
        fit(data, tmp_path / "fit", **{option: f"{mine}:{name}"})


def test_no_batch_is_of_one_sample(tmp_path):
    data = features(tmp_path, 41)  # of which 33 are trained on, in batches of 32
    fit(data, tmp_path / "fit", model=f"{own_code(tmp_path)}:normalized", epochs=1)


def test_a_loss_that_is_made_for_the_two_classes_there_are_is_taken(tmp_path):
    data, mine = features(tmp_path), own_code(tmp_path)
    assert fit(data, tmp_path / "fit", loss=f"{mine}:OfTwoClasses", epochs=1).metrics["loss"].endswith("OfTwoClasses")


def test_messy_tables_are_handled(tmp_path):
    random = np.random.default_rng(0)
    rows = [
        (random.normal() + 4 * (i % 2), "" if i % 7 else "x", "kg", ["inf", "", "1e300"][i % 3], "same", CLASSES[i % 2])
        for i in range(60)
    ]
    rows[7] = (*rows[7][:-1], "=one of its kind")
    rows += rows[:20]  # duplicates
    data = table(tmp_path)
    path = write_csv(tmp_path / "messy.csv", ("a", "b", "c", "d", "e", "label"), rows)
    found = fit(data._replace(path=path), tmp_path / "fit")
    assert found.summary["num_samples"] == 80
    assert "'=one of its kind" in (tmp_path / "fit" / "labels.csv").read_text()


def test_class_names_run_neither_in_the_report_nor_in_a_spreadsheet(tmp_path):
    names = ("<script>alert(1)</script>", "=cmd|' /C calc'!A0")
    rows = [("purr meow" if i % 2 else "bark fetch", names[(i + (i % 9 == 0)) % 2]) for i in range(90)]
    data = texts(tmp_path)._replace(path=write_csv(tmp_path / "t.csv", ("text", "label"), rows))
    fit(data, tmp_path / "fit")
    assert "<script>alert" not in (tmp_path / "fit" / "report.html").read_text()
    assert ",=cmd" not in (tmp_path / "fit" / "labels.csv").read_text()
    rows = read_csv(tmp_path / "fit" / "labels.csv")
    assert {row["given_label"] for row in rows} == {names[0], f"'{names[1]}"}


def test_truth_is_for_the_report_alone(tmp_path):
    data = table(tmp_path)
    true = write_csv(tmp_path / "truth.csv", ("index", "true_label"), [(i, CLASSES[i % 2]) for i in range(160)])
    rows = [(i, CLASSES[i % 2]) for i in reversed(range(160))]
    turned = write_csv(tmp_path / "turned.csv", ("index", "true_label"), rows)
    fit(data, tmp_path / "with", truth=true)
    fit(data, tmp_path / "turned", truth=turned)
    fit(data, tmp_path / "without")
    assert bytes_of(tmp_path / "with") == bytes_of(tmp_path / "turned") == bytes_of(tmp_path / "without")
    shown, same, hidden = (
        re.findall("The truth is known here.*?</p>", (tmp_path / name / "report.html").read_text(), re.DOTALL)
        for name in ("with", "turned", "without")
    )
    assert shown == same
    assert not hidden
    found = read_csv(tmp_path / "with" / "labels.csv")
    wrong = [row["given_label"] != CLASSES[i % 2] for i, row in enumerate(found)]
    flagged = [was for was, row in zip(wrong, found, strict=True) if row["is_issue"] == "True"]
    shares = sum(flagged) / len(flagged), sum(flagged) / sum(wrong)
    auroc = roc_auc_score(wrong, [float(row["p_wrong"]) for row in found])
    told = re.findall("([0-9.]+)\xa0%", shown[0])
    assert told == [f"{100 * value:.1f}" for value in (*shares, auroc)]
    for index, got in (([0], "1 0 times"), ([0, 0, *range(2, 160)], "0 2 times"), ([*range(161)], "160 1 times")):
        other = write_csv(tmp_path / "other.csv", ("index", "true_label"), [(row, "cat") for row in index])
        with pytest.raises(ValueError, match=f"truth must have each index from 0 to 159 once, got {got}"):
            fit(data, tmp_path / "other", truth=other)


def test_the_plan_and_the_estimate_are_told_before_the_start(tmp_path):
    told = []
    fit(table(tmp_path), tmp_path / "fit", folds=2, tell=told.append)  # on a CPU the budget is ten minutes
    assert told[0] == "Data: 160 rows (table), 2 classes"
    assert "Dropped columns: unit (constant)" in told
    assert told[-1].startswith("Plan: 1 candidate for 8 epochs each, then 2 folds, about ")
    assert told[-1].endswith("of a budget of 10.0 min")


def test_the_size_of_decoded_images_is_told_first(tmp_path):
    told = []
    fit(image_table(tmp_path), tmp_path / "fit", epochs=1, tell=told.append)
    where = tmp_path / "fit" / "work" / "data.uint8"
    assert told[:2] == [
        f"Images: 80, decoded once to 1 x 8 x 8 pixels: 0.1 MB in {where}",
        "Data: 80 rows (image), 2 classes",
    ]


def test_a_fit_that_goes_on_tells_the_plan_of_the_first_start(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    data, told = table(tmp_path), []
    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("labelnoise.tasks.fit"), "fit_candidates", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(data, tmp_path / "fit", tell=told.append)
    again = []
    fit(data, tmp_path / "fit", tell=again.append)
    assert again == told


@pytest.mark.parametrize(
    ("columns", "shown"), [(2, "0, 1"), (13, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … (13 in all)")]
)
def test_of_many_features_the_first_are_shown(columns, shown):
    own = OwnData("features", torch.arange(columns)[None].float(), None, ("0",))
    assert _shown(own, 0).text == shown


def test_a_tiny_budget_still_gives_a_model(tmp_path):
    data = features(tmp_path)
    fit(data, tmp_path / "fit", loss="auto", budget="0.01s", epochs=None, refine=None)
    plan = json.loads((tmp_path / "fit" / "plan.json").read_text())["plan"]
    assert (len(plan["candidates"]), plan["epochs"], plan["refine"]) == (1, 1, False)


def test_an_audit_that_is_suspicious_warns(tmp_path, monkeypatch):
    monkeypatch.setattr("labelnoise.audit.labels.disagreement_rises", lambda *_: True)
    with pytest.warns(AuditWarning, match="labels disagree with the model more often where it is surer"):
        fit(features(tmp_path), tmp_path / "fit")
