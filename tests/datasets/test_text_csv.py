import pytest
import torch

from labelnoise import datasets
from labelnoise._types import Texts

TRAIN = 'text,label\n"one, and more",b\ntwo,a\n"three\nlines",b\n'


def write(tmp_path, train=TRAIN, test="text,label\nfour,a\n", encoding="utf-8"):
    (tmp_path / "train.csv").write_bytes(train.encode(encoding))
    (tmp_path / "test.csv").write_bytes(test.encode(encoding))


def test_texts_and_classes_in_their_order(tmp_path):
    write(tmp_path)
    data = datasets.load("text-csv", root=tmp_path)
    assert data.train.inputs == ("one, and more", "two", "three\nlines")
    assert data.test.inputs == ("four",)
    assert data.class_names == ("a", "b")
    assert data.train.labels.tolist() == data.true_labels.tolist() == [1, 0, 1]
    assert data.test.labels.tolist() == [0]
    assert torch.cat([data.train.index, data.test.index]).tolist() == [0, 1, 2, 3]


def test_a_batch_of_texts_is_taken_like_one_of_tensors(tmp_path):
    write(tmp_path)
    batch = datasets.text_csv(tmp_path).train.take(torch.tensor([2, 0, 2]))
    assert isinstance(batch.inputs, Texts)
    assert batch.inputs == ("three\nlines", "one, and more", "three\nlines")
    assert batch.index.tolist() == [2, 0, 2]


def test_the_checksum_sees_every_text_and_where_it_ends(tmp_path):
    checksums = set()
    for train in ("ab,x\nc,x", "a,x\nbc,x", "abc,x", "c,x\nab,x", "ab,x\nd,x"):
        write(tmp_path, train=f"text,label\n{train}\n", test="text,label\nfour,x\n")
        checksums.add(datasets.text_csv(tmp_path).checksum)
        assert datasets.text_csv(tmp_path).checksum in checksums
    assert len(checksums) == 5


def test_other_names_other_columns_other_scripts_and_a_byte_order_mark(tmp_path):
    write(tmp_path, train="\ufeffid,label,text\n1,3,日本語\n2,10,\n", test="text,label\n🙂,10\n")
    (tmp_path / "train.csv").rename(tmp_path / "reviews.csv")
    data = datasets.load("text-csv", root=tmp_path, train="reviews.csv")
    assert data.train.inputs == ("日本語", "")
    assert data.class_names == ("10", "3")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("", "train.csv is empty"),
        ("text,label\n", "train.csv holds no texts"),
        ("review,label\na,b\n", "unknown column of .*train.csv 'text'"),
        ("text,labels\na,b\n", "unknown column of .*train.csv 'label'; did you mean 'labels'"),
        ("text,label,label\na,b,c\n", "train.csv must have one column 'label', got 2"),
        ("text;label\na;b\n", "train.csv must have commas between its cells"),
        ("text,label\na,b\nc\n", "train.csv cannot be read: .*Row #3"),
        ("text,label\na,b\nc,d,e\n", "train.csv cannot be read: .*Row #3"),
        ("text,label\na,b\nc,\n", "train.csv has no label in row 1, counted from 0"),
        ("text,label\na,b\nc, \n", "train.csv has no label in row 1, counted from 0"),
        ('text,label\na,b\n"c,d\n', "train.csv has a quote in line 3 that is never closed"),
        ("text,label\nc,d\n", "test.csv has the label 'a', which .*train.csv never has"),
    ],
)
def test_other_files_are_refused(tmp_path, train, message):
    write(tmp_path, train=train)
    with pytest.raises(ValueError, match=message) as raised:
        datasets.text_csv(tmp_path)
    assert "\n" not in str(raised.value)


def test_other_encodings_and_missing_files_are_refused(tmp_path):
    write(tmp_path, train="text,label\nübel,a\n", encoding="latin1")
    with pytest.raises(ValueError, match=r"train.csv must be UTF-8 text, got the byte 0xfc in line 2"):
        datasets.text_csv(tmp_path)
    (tmp_path / "train.csv").unlink()
    with pytest.raises(ValueError, match=r"train.csv cannot be read: No such file"):
        datasets.text_csv(tmp_path)
