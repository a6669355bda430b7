import json

import pytest
import torch

from labelnoise import datasets

INTENTS = [f"intent {number:03}" for number in range(150)]


def rows(count):
    return [(f"please do {number}", INTENTS[number % 150]) for number in range(count)]


def write(tmp_path, train, test):
    (tmp_path / "clinc150").mkdir(exist_ok=True)
    for name, part in (("train", train), ("test", test)):
        lines = "".join(f"{text},{label}\n" for text, label in part)
        (tmp_path / "clinc150" / f"{name}.csv").write_text(f"text,label\n{lines}")


def test_tables_and_the_original_give_the_same(tmp_path):
    write(tmp_path, rows(300), rows(150))
    data = datasets.load("clinc150", root=tmp_path)
    assert data.train.inputs[:2] == ("please do 0", "please do 1")
    assert data.class_names == tuple(INTENTS)
    other = tmp_path / "other" / "clinc150"
    other.mkdir(parents=True)
    splits = {"oos_train": [["nonsense", "oos"]], "val": rows(3), "train": rows(300), "test": rows(150)}
    (other / "data_full.json").write_text(json.dumps(splits))
    assert datasets.load("clinc150", root=tmp_path / "other").checksum == data.checksum


@pytest.mark.parametrize("count", [149, 151])
def test_there_are_exactly_150_intents(tmp_path, count):
    write(tmp_path, [*rows(149), *[("cut short", f"intent {n}") for n in range(count - 149)]], rows(1))
    with pytest.raises(ValueError, match=f"train.csv has {count} intents, expected 150"):
        datasets.clinc150(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path, rows(150), rows(150))
    (tmp_path / "clinc150" / "test.csv").unlink()
    with pytest.raises(ValueError, match=r"put train.csv and test.csv \(or the original data_full.json\) there"):
        datasets.clinc150(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", "{}", '{"train": [["a"]], "test": []}', '{"train": 1, "test": 2}', "[" * 100_000, "null"]
)
def test_a_broken_original_is_refused(tmp_path, content):
    (tmp_path / "clinc150").mkdir()
    (tmp_path / "clinc150" / "data_full.json").write_text(content)
    with pytest.raises(ValueError, match=r"data_full.json (is not CLINC150's|holds no texts)") as raised:
        datasets.clinc150(tmp_path)
    assert "\n" not in str(raised.value)


def test_the_real_ones(real):
    data = datasets.load("clinc150", root=real)
    assert len(data.class_names) == 150
    assert torch.bincount(data.train.labels).tolist() == [100] * 150
    assert torch.bincount(data.test.labels).tolist() == [30] * 150
    assert data.train.inputs[0] == "what expression would i use to say i love you if i were an italian"
    assert data.class_names[data.train.labels[0]] == "translate"
