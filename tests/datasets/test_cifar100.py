import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from dataset_files import write_batches, write_shards

from labelnoise import datasets
from labelnoise.datasets.cifar100 import CIFAR100


def test_both_layouts_give_the_fine_labels(tmp_path):
    shards = write_shards(tmp_path / "a", "cifar100", classes=100, label="fine_label")
    batches = write_batches(tmp_path / "b", "cifar100", each=9, classes=100)
    for root, (images, labels, test_images, test_labels) in (("a", shards), ("b", batches)):
        data = datasets.load("cifar100", root=tmp_path / root)
        assert np.array_equal(data.train.inputs, images)
        assert np.array_equal(data.test.inputs, test_images)
        assert data.train.labels.tolist() == labels.tolist()
        assert data.test.labels.tolist() == test_labels.tolist()


def test_the_classes_are_in_the_order_of_the_alphabet():
    names = CIFAR100.class_names
    assert len(names) == 100
    assert list(names) == sorted(names)


def test_the_real_labels_and_the_first_real_images(real, tmp_path):
    (tmp_path / "cifar100").mkdir()
    labels = []
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        with pq.ParquetFile(real / "cifar100" / f"{name}.parquet") as file:
            labels.append(torch.tensor(file.read(["fine_label"]).column("fine_label").to_pylist()))
            rows = pa.Table.from_batches([next(file.iter_batches(300))])
        pq.write_table(rows, tmp_path / "cifar100" / f"{name}.parquet")
    assert torch.bincount(torch.cat(labels[:2])).tolist() == [500] * 100
    assert torch.bincount(labels[2]).tolist() == [100] * 100
    data = datasets.cifar100(tmp_path)
    assert [data.class_names[label] for label in data.train.labels[:3]] == ["cattle", "dinosaur", "apple"]
