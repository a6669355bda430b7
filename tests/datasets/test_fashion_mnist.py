import gzip

import numpy as np
import pytest
import torch
from dataset_files import idx, write_fashion

from labelnoise import datasets


@pytest.mark.parametrize("zipped", [True, False])
def test_images_and_labels_come_in_the_order_of_the_files(tmp_path, zipped):
    arrays = write_fashion(tmp_path, zipped=zipped)
    data = datasets.load("fashion-mnist", root=tmp_path)
    assert data.train.inputs.shape == (7, 1, 28, 28)
    assert data.train.inputs.dtype == torch.uint8
    assert np.array_equal(data.train.inputs[:, 0], arrays["train-images-idx3-ubyte"])
    assert np.array_equal(data.test.inputs[:, 0], arrays["t10k-images-idx3-ubyte"])
    assert data.train.labels.tolist() == data.true_labels.tolist() == list(range(7))
    assert torch.cat([data.train.index, data.test.index]).tolist() == list(range(11))
    assert len(data.class_names) == 10


def test_some_files_gzipped_and_some_not(tmp_path):
    write_fashion(tmp_path)
    zipped = tmp_path / "fashion-mnist" / "train-labels-idx1-ubyte.gz"
    zipped.with_suffix("").write_bytes(gzip.decompress(zipped.read_bytes()))
    zipped.unlink()
    assert len(datasets.fashion_mnist(tmp_path).train.labels) == 7


@pytest.mark.parametrize(
    ("labels", "message"),
    [(range(6), "has 6 labels for 7 images"), ([0, 1, 2, 3, 4, 5, 10], "has labels 0 to 10, expected 0 to 9")],
)
def test_labels_must_fit_the_images_and_the_classes(tmp_path, labels, message):
    write_fashion(tmp_path, zipped=False)
    (tmp_path / "fashion-mnist" / "train-labels-idx1-ubyte").write_bytes(idx(list(labels)))
    with pytest.raises(ValueError, match=f"train-labels-idx1-ubyte {message}"):
        datasets.fashion_mnist(tmp_path)


def test_a_missing_file_is_named_with_its_place_and_the_command_that_gets_it(tmp_path):
    write_fashion(tmp_path)
    (tmp_path / "fashion-mnist" / "t10k-images-idx3-ubyte.gz").unlink()
    message = (
        r"not in .*fashion-mnist: put t10k-images-idx3-ubyte \(or .gz\) there, or run `labelnoise data fetch fashion"
    )
    with pytest.raises(ValueError, match=message):
        datasets.fashion_mnist(tmp_path)


def test_the_real_ones(real):
    data = datasets.load("fashion-mnist", root=real)
    assert data.train.inputs.shape == (60_000, 1, 28, 28)
    assert data.test.inputs.shape == (10_000, 1, 28, 28)
    assert torch.bincount(data.train.labels).tolist() == [6_000] * 10
    assert torch.bincount(data.test.labels).tolist() == [1_000] * 10
    assert data.train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    # Mean and deviation as everybody's normalisation has them.
    assert data.train.inputs.double().mean().item() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert data.train.inputs.double().std().item() / 255 == pytest.approx(0.3530, abs=5e-5)
