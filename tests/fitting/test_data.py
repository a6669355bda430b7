import numpy as np
import pytest
import torch
from noisy_data import CLASSES, KINDS, features, image_folder, npy, table, texts, write_csv

from labelnoise.datasets._own import Columns
from labelnoise.fitting import Request, prepare
from labelnoise.fitting.data import kept, validation_fraction


def request_of(data, **parts):
    options = dict(data.options)
    labels, size = options.pop("labels", None), options.pop("image_size", None)
    return Request(data.path, Columns(**options), labels, image_size=size, **parts)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_in_one_part_with_its_label(tmp_path, kind):
    data = KINDS[kind](tmp_path)
    prepared = prepare(request_of(data))
    rows = torch.cat([prepared.training.index, prepared.validation.index])
    assert sorted(rows.tolist()) == list(range(len(data.given)))
    assert torch.equal(prepared.whole.index, rows)
    assert len(prepared.validation.labels) == len(data.given) // 5
    for part in (prepared.training, prepared.validation):
        assert len(part.inputs) == len(part.labels)
        assert [prepared.class_names[label] for label in part.labels] == data.given[part.index].tolist()
        share = len(part.labels) / len(data.given)
        for label, count in enumerate(torch.bincount(part.labels).tolist()):
            assert abs(count - share * (data.given == CLASSES[label]).sum()) <= 1


def test_small_data_hold_out_a_fifth_and_large_ones_a_tenth():
    fractions = [validation_fraction(n) for n in (10, 10_000, 15_000, 20_000, 10**6)]
    assert fractions == [0.2, 0.2, pytest.approx(2000 / 15_000), 0.1, 0.1]


def test_another_seed_is_another_split(tmp_path):
    data = table(tmp_path)
    first, second = (prepare(request_of(data, seed=seed)).validation.index.tolist() for seed in (0, 1))
    assert sorted(first) != sorted(second)


def test_decoded_images_lie_in_the_cache_and_are_the_same(tmp_path):
    data = image_folder(tmp_path)
    plain = prepare(request_of(data))
    cached = prepare(request_of(data, cache=tmp_path))
    assert torch.equal(plain.training.inputs, cached.training.inputs)
    assert (tmp_path / "data.uint8").stat().st_size == 80 * 8 * 8


def test_the_size_of_decoded_images_is_told_before_they_are_decoded(tmp_path):
    data, other, told = image_folder(tmp_path), image_folder(tmp_path / "other", 20), []
    request = request_of(data, cache=tmp_path, test=other.path)._replace(image_size=100)
    prepare(request, tell=lambda line: told.append((line, (tmp_path / line.split("/")[-1]).exists())))
    assert told == [
        (f"Images: 80, decoded once to 1 x 100 x 100 pixels: 0.8 MB in {tmp_path}/data.uint8", False),
        (f"Images: 20, decoded once to 1 x 100 x 100 pixels: 0.2 MB in {tmp_path}/test.uint8", False),
    ]
    assert (tmp_path / "data.uint8").stat().st_size == 800_000


def test_what_was_prepared_is_kept_until_something_else_is(tmp_path):
    request = request_of(table(tmp_path))
    first = prepare(request)
    assert kept(request) is first
    assert prepare(request) is not first  # the files may have changed
    other = kept(request._replace(seed=1))
    assert kept(request._replace(seed=1)) is other
    assert kept(request) is not first


def test_a_test_set_comes_along_and_changes_nothing_else(tmp_path):
    data, other = table(tmp_path), table(tmp_path, 40, name="test.csv", seed=5)
    alone, tested = prepare(request_of(data)), prepare(request_of(data, test=other.path))
    assert alone.test is None
    assert tested.test.inputs.shape == (40, alone.training.inputs.shape[1])
    assert (tested.test.index == -1).all()
    assert torch.equal(alone.training.inputs, tested.training.inputs)


def test_a_test_set_needs_no_column_that_is_no_feature(tmp_path):
    rows = [(row, row % 7, f"n{row}", CLASSES[row % 2]) for row in range(60)]
    data = write_csv(tmp_path / "data.csv", ("x", "comment", "name", "label"), rows)
    test = write_csv(tmp_path / "test.csv", ("x", "label"), [(row[0], row[3]) for row in rows[:10]])
    columns = Columns(label="label", ignore=("comment",), id="name")
    assert prepare(Request(data, columns, test=test)).test.inputs.shape == (10, 1)


def test_a_column_that_is_ignored_may_be_there_twice_in_every_file(tmp_path):
    rows = [(row, row, row % 7, CLASSES[row % 2]) for row in range(60)]
    data, other = (write_csv(tmp_path / name, ("x", "x", "y", "label"), rows) for name in ("data.csv", "other.csv"))
    prepared = prepare(Request(data, Columns(label="label", ignore=("x",)), test=other, trusted=other))
    assert prepared.test.inputs.shape == prepared.validation.inputs.shape == (60, 1)


def test_decisions_on_other_rows_are_refused(tmp_path):
    data = texts(tmp_path)
    header, given = ("index", "decision", "label", "given_label"), data.given[3]
    other = next(name for name in CLASSES if name != given)
    for label in (given, other):
        path = write_csv(tmp_path / "decisions.csv", header, [(3, "relabel", label, given)])
        assert prepare(request_of(data, trusted=path)).trusted.tolist() == [3]
    path = write_csv(tmp_path / "decisions.csv", header, [(3, "relabel", given, other)])
    assert prepare(request_of(data, trusted=path)).trusted.tolist() == [3]  # of a copy with the label that was decided
    path = write_csv(tmp_path / "decisions.csv", header, [(3, "keep", other, other)])
    with pytest.raises(ValueError, match=rf"row 3 is 3, labelled .{given}.; it decides on .* .{other}."):
        prepare(request_of(data, trusted=path))


def test_decisions_on_an_image_that_has_moved_are_refused(tmp_path):
    data = image_folder(tmp_path)
    paths = sorted(path.relative_to(data.path).as_posix() for path in data.path.rglob("*.png"))
    rows = [(3, "keep", paths[3].partition("/")[0], paths[3])]
    decisions = write_csv(tmp_path / "decisions.csv", ("index", "decision", "label", "id"), rows)
    assert prepare(Request(data.path, trusted=decisions)).trusted.tolist() == [3]
    (data.path / paths[0]).unlink()
    with pytest.raises(ValueError, match=f"where row 3 is {paths[4]}, .* it decides on {paths[3]}"):
        prepare(Request(data.path, trusted=decisions))


def test_an_image_size_is_of_image_files(tmp_path):
    with pytest.raises(ValueError, match="image_size must be given with image files only, got 64"):
        prepare(Request(texts(tmp_path).path, Columns(label="label", text="text"), image_size=64))


def test_checked_rows_of_another_file_are_validation(tmp_path):
    data, other = texts(tmp_path), texts(tmp_path, 30, name="checked.csv", wrong=0)
    told = []
    prepared = prepare(request_of(data, trusted=other.path), tell=told.append)
    assert told[0] == "Only 30 checked rows choose, by chance among what is about as good"
    assert len(prepared.training.labels) == 160
    assert len(prepared.validation.labels) == 30
    assert not len(prepared.trusted)
    assert (prepared.validation.index == -1).all()


def test_rows_that_contradict_a_checked_row_are_counted(tmp_path):
    rows = [(7 * row, f"a{row // 8} b{row % 8}", CLASSES[row % 2]) for row in range(60)]
    checked = [
        (row, text, CLASSES[0]) for row, text, _ in rows[:10]
    ]  # of which five are labelled otherwise in the data
    for columns in (Columns(label="label", text="text"), Columns(label="label", ignore=("text",))):
        told = []
        data = write_csv(tmp_path / "data.csv", ("number", "text", "label"), rows)
        trusted = write_csv(tmp_path / "checked.csv", ("number", "text", "label"), checked)
        prepare(Request(data, columns, trusted=trusted), tell=told.append)
        assert told[1].startswith("5 training rows repeat a checked row's inputs with another label")


def test_decisions_are_validation_with_the_label_that_was_decided(tmp_path):
    data = table(tmp_path)
    wrong = data.wrong.nonzero()[0][:5].tolist()
    right = {row: CLASSES[row % 2] for row in wrong}
    path = write_csv(tmp_path / "d.csv", ("index", "decision", "label"), [(r, "accept", y) for r, y in right.items()])
    prepared = prepare(request_of(data, trusted=path))
    assert prepared.trusted.tolist() == prepared.validation.index[:5].tolist() == wrong
    assert prepared.validation.labels[:5].tolist() == [row % 2 for row in wrong]
    assert prepared.own.labels == tuple(data.given)
    assert prepared.validation_labels == "checked and noisy"
    assert len(prepared.training.labels) == 155 - 31  # by five alone an epoch would be chosen by chance


def test_many_decisions_choose_alone(tmp_path):
    data = table(tmp_path, 400)
    rows = [(row, "keep", data.given[row]) for row in range(200)]
    path = write_csv(tmp_path / "d.csv", ("index", "decision", "label"), rows)
    prepared = prepare(request_of(data, trusted=path))
    assert prepared.validation_labels == "checked"
    assert prepared.validation.index.tolist() == list(range(200))
    assert prepare(request_of(data)).validation_labels == "noisy"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(160, "keep", "cat")], r"must decide on rows within \[0, 160\), got row 160"),
        ([(0, "keep", "dog")], r"label must be '.*', which keep means, got 'dog' in row 0 of .*d.csv"),
        ([(1, "relabel", "dgo")], "did you mean 'dog'"),
        (
            [(row, "relabel", "cat") for row in range(151)],
            "must leave 10 rows or more to train on, got .* 151 of 160",
        ),
    ],
)
def test_decisions_that_do_not_fit_are_refused(tmp_path, rows, message):
    path = write_csv(tmp_path / "d.csv", ("index", "decision", "label"), rows)
    with pytest.raises(ValueError, match=message):
        prepare(request_of(table(tmp_path), trusted=path))


def test_a_test_set_must_fit_and_say_which_file_does_not(tmp_path):
    data = table(tmp_path)
    unknown = write_csv(tmp_path / "unknown.csv", ("size", "colour", "label"), [(1, "red", "cow")])
    with pytest.raises(ValueError, match=r"unknown.csv has the label 'cow', which the data never have"):
        prepare(request_of(data, test=unknown))
    lacking = write_csv(tmp_path / "lacking.csv", ("size", "label"), [(1, "cat")])
    with pytest.raises(ValueError, match=r"unknown column of .*lacking.csv .colour."):
        prepare(request_of(data, test=lacking))
    with pytest.raises(ValueError, match=r"must hold data of the kind features, as .*, got image"):
        prepare(request_of(features(tmp_path), test=image_folder(tmp_path).path))
    arrays = npy(tmp_path)
    with pytest.raises(ValueError, match=r"has no labels beside it; give an \.npz"):
        prepare(request_of(arrays, test=arrays.path))


def test_a_test_set_may_have_one_class_and_unseen_categories(tmp_path):
    path = write_csv(tmp_path / "test.csv", ("size", "colour", "label"), [("", "mauve", "cat"), ("nan", "", "cat")])
    test = prepare(request_of(table(tmp_path), test=path)).test
    assert np.isfinite(test.inputs.numpy()).all()
