import csv
import json
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import labelnoise
from labelnoise.tasks import add_noise
from labelnoise.tasks import noise as task

LABELS = ["=cat", "dog", 'a "cow", once', "dog"] * 50


@pytest.fixture
def data(tmp_path):
    with (tmp_path / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((f"=text\n{row}", label) for row, label in enumerate(LABELS))])
    return tmp_path / "data.csv"


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_truth_joins_by_index_and_lies_in_no_column(data, tmp_path):
    noisy = add_noise(data, label="label", out=tmp_path / "noisy.csv", rate=0.4, seed=3)
    assert noisy.truth == tmp_path / "noisy.csv.truth.csv"
    header, *rows = read(noisy.out)
    assert header == ["text", "label"]
    assert [text for text, _ in rows] == [f"=text\n{row}" for row in range(len(LABELS))]
    assert read(noisy.truth) == [["index", "true_label"], *([str(row), label] for row, label in enumerate(LABELS))]
    changed = sum(label != true for (_, label), true in zip(rows, LABELS, strict=True)) / len(LABELS)
    assert changed == noisy.rate
    assert abs(noisy.rate - 0.4) < 4 * (0.4 * 0.6 / len(LABELS)) ** 0.5  # four standard deviations
    assert (noisy.rows, noisy.class_names) == (200, tuple(sorted(set(LABELS))))
    assert {label for _, label in rows} == set(LABELS)


def test_a_seed_is_a_noise(data, tmp_path):
    first, again, other = (
        add_noise(data, label="label", out=tmp_path / f"{position}.csv", seed=seed).out.read_bytes()
        for position, seed in enumerate([0, 0, 1])
    )
    assert first == again != other


def test_no_noise_is_the_same_file(data, tmp_path):
    assert add_noise(data, label="label", out=tmp_path / "noisy.csv", rate=0.0).out.read_bytes() == data.read_bytes()


@pytest.mark.parametrize("kind", ["symmetric", "symmetric_inclusive", "pair_flip"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_kind_on_every_format(tmp_path, kind, suffix):
    path, labels = tmp_path / f"data{suffix}", [1, 2, 3] * 20
    if suffix == ".parquet":
        pq.write_table(pa.table({"label": labels}), path)
    else:
        lines = ["label", *labels] if suffix == ".csv" else [json.dumps({"label": label}) for label in labels]
        path.write_text("".join(f"{line}\n" for line in lines))
    noisy = add_noise(path, label="label", out=tmp_path / f"noisy{suffix}", kind=kind, rate=1.0)
    assert noisy.class_names == ("1", "2", "3")
    if suffix == ".parquet":
        found = pq.read_table(noisy.out)["label"].to_pylist()
    elif suffix == ".csv":
        found = [int(line) for line in noisy.out.read_text().splitlines()[1:]]
    else:
        found = [json.loads(line)["label"] for line in noisy.out.read_text().splitlines()]
    assert noisy.rate == sum(new != old for new, old in zip(found, labels, strict=True)) / 60
    if kind == "pair_flip":
        assert found == [2, 3, 1] * 20
    elif kind == "symmetric":
        assert noisy.rate == 1


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("symetric", "unknown noise model 'symetric'; did you mean 'symmetric'"),
        (
            "class_dependent",
            r"kind must be a noise model that needs labels only \(pair_flip, symmetric, symmetric_inclusive\), "
            "got class_dependent, which also takes transition",
        ),
        ("map_flip", "got map_flip, which also takes mapping"),
        ("instance_dependent", "got instance_dependent, which also takes features"),
        ("cifar10_map", "got cifar10_map, which is made for the classes of one data set"),
    ],
)
def test_kinds_that_need_more_than_labels(data, tmp_path, kind, message):
    with pytest.raises(ValueError, match=message):
        add_noise(data, label="label", out=tmp_path / "noisy.csv", kind=kind)
    assert list(tmp_path.iterdir()) == [data]


@pytest.mark.parametrize(
    ("out", "rate", "message"),
    [
        ("data.csv", 0.4, "out must not exist yet"),
        ("noisy.parquet", 0.4, "out must end in .csv, as the data"),
        ("no/such/noisy.csv", 0.4, "out must lie in a folder that exists"),
        ("noisy.csv", 1.5, r"rate must be a fraction within \[0, 1\], got 1.5"),
    ],
)
def test_what_cannot_be_written(data, tmp_path, out, rate, message):
    before = data.read_bytes()
    with pytest.raises(ValueError, match=message):
        add_noise(data, label="label", out=tmp_path / out, rate=rate)
    assert list(tmp_path.iterdir()) == [data]
    assert data.read_bytes() == before


def test_nothing_is_written_over(data, tmp_path):
    out = tmp_path / "noisy.csv"
    noisy = add_noise(data, label="label", out=out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match="data must be a table, got the folder"):
        add_noise(tmp_path, out=tmp_path / "noisy", label="label", rate=0.4)
    with pytest.raises(ValueError, match="out must not exist yet"):
        add_noise(data, label="label", out=out, seed=1)
    assert out.read_bytes() == before

    out.unlink()
    noisy.truth.write_text("index,true_label\n0,another\n")
    with pytest.raises(ValueError, match=r"truth.csv exists, and is the truth of other labels"):
        add_noise(data, label="label", out=out)
    assert noisy.truth.read_text() == "index,true_label\n0,another\n"
    assert not out.exists()


def test_what_a_kill_between_the_two_files_leaves_is_taken_over(data, tmp_path):
    noisy = add_noise(data, label="label", out=tmp_path / "noisy.csv")
    before = noisy.out.read_bytes()
    noisy.out.unlink()
    assert add_noise(data, label="label", out=noisy.out) == noisy
    assert noisy.out.read_bytes() == before


def test_a_failure_leaves_neither_file_and_the_truth_came_first(data, tmp_path, monkeypatch):
    truth = tmp_path / "noisy.csv.truth.csv"

    def full_disk(*_):
        assert truth.exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(task, "rewrite_labels", full_disk)
    with pytest.raises(OSError, match="No space left"):
        add_noise(data, label="label", out=tmp_path / "noisy.csv")
    assert list(tmp_path.iterdir()) == [data]


def test_an_interrupt_when_the_copy_is_in_its_place_keeps_its_truth(data, tmp_path, monkeypatch):
    rewrite = task.rewrite_labels

    def interrupted(*arguments):
        rewrite(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(task, "rewrite_labels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_noise(data, label="label", out=tmp_path / "noisy.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "noisy.csv", "noisy.csv.truth.csv"]


def test_the_task_does_not_hide_the_package_of_noise_models():
    assert labelnoise.add_noise is add_noise
    assert isinstance(labelnoise.noise, types.ModuleType)
    assert callable(labelnoise.noise.symmetric)
