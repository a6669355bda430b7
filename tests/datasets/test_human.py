"""The reader of torch-saved labels, on files nobody should trust."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from dataset_files import Dangerous, write_human

from labelnoise.datasets._human import read_human_labels

LABELS = [3, 0, 9]
COLUMNS = ("clean_label", "worse_label")


def read(path):
    return read_human_labels(path, COLUMNS, classes=10)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_arrays_come_back_as_labels(tmp_path, zipped, dtype):
    content = {column: np.array(LABELS, dtype=dtype) for column in COLUMNS}
    torch.save(content, tmp_path / "labels.pt", _use_new_zipfile_serialization=zipped)
    for labels in read(tmp_path / "labels.pt"):
        assert labels.dtype == torch.int64
        assert labels.tolist() == LABELS


def test_the_names_numpy_had_before_its_second_version_are_known(tmp_path):
    path = tmp_path / "labels.pt"
    write_human(tmp_path / "new.pt", {column: LABELS for column in COLUMNS})
    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(path, "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            old.writestr(name, content)
    assert [labels.tolist() for labels in read(path)] == [LABELS, LABELS]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_os_system_is_never_called(tmp_path, zipped):
    marker, path = tmp_path / "called", tmp_path / "labels.pt"
    content = {"clean_label": np.array(LABELS), "worse_label": Dangerous(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        ValueError, match=r"labels.pt is not a CIFAR-N file, or it is damaged or hostile.*system"
    ) as raised:
        read(path)
    assert "\n" not in str(raised.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "holds a list, not the dict"),
        ({"clean_label": np.array(LABELS)}, "worse_label must be a one-dimensional array of integers"),
        ({"clean_label": np.array(LABELS), "worse_label": LABELS}, "worse_label must be a one-dimensional array"),
        ({"clean_label": np.array([LABELS]), "worse_label": np.array(LABELS)}, "clean_label must be a one-dimensional"),
        ({"clean_label": np.array(LABELS), "worse_label": np.array([0, 1])}, "has 2 labels, clean_label has 3"),
        ({"clean_label": np.array([0, 10]), "worse_label": np.array([0, 1])}, "has labels 0 to 10, expected 0 to 9"),
        ({"clean_label": np.array([0, -1]), "worse_label": np.array([0, 1])}, "has labels -1 to 0"),
        ({"clean_label": np.array([0.5]), "worse_label": np.array([1])}, "hostile|array of integers"),
        ({"clean_label": np.array([object()]), "worse_label": np.array([1])}, "hostile"),
    ],
)
def test_other_contents_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "labels.pt")
    with pytest.raises(ValueError, match=message) as raised:
        read(tmp_path / "labels.pt")
    assert "labels.pt" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "labels.pt"
    write_human(path, {column: LABELS for column in COLUMNS})
    data = path.read_bytes()
    for broken in (b"", b"hello", data[:100], data[: len(data) // 2], data[len(data) // 2 :], pickle.dumps({"a": 1})):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"labels\.pt"):
            read(path)
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_a_packed_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "labels.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(20 * 2**20))
    with pytest.raises(ValueError, match=r"labels.pt unpacks to 20,971,520 bytes, more than any CIFAR-N file"):
        read(path)
