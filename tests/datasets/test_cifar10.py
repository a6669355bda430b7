import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from dataset_files import write_batches, write_shards

from labelnoise import datasets


def check(data, images, labels, test_images, test_labels):
    assert data.train.inputs.dtype == torch.uint8
    assert np.array_equal(data.train.inputs, images)
    assert np.array_equal(data.test.inputs, test_images)
    assert data.train.labels.tolist() == data.true_labels.tolist() == labels.tolist()
    assert data.test.labels.tolist() == test_labels.tolist()
    assert torch.cat([data.train.index, data.test.index]).tolist() == list(range(len(labels) + len(test_labels)))


def test_the_python_batches_in_their_order(tmp_path):
    written = write_batches(tmp_path)
    check(datasets.load("cifar10", root=tmp_path), *written)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_parquet_shards_in_their_order(tmp_path, kind):
    written = write_shards(tmp_path, kind=kind)
    check(datasets.load("cifar10", root=tmp_path), *written)


def test_where_both_lie_the_original_is_read(tmp_path):
    write_shards(tmp_path)
    written = write_batches(tmp_path)
    check(datasets.cifar10(tmp_path), *written)


@pytest.mark.parametrize("gone", ["train-00001-of-00002.parquet", "test-00000-of-00001.parquet"])
def test_a_shard_that_is_missing_is_not_passed_over(tmp_path, gone):
    write_shards(tmp_path)
    (tmp_path / "cifar10" / gone).unlink()
    with pytest.raises(
        ValueError, match=r"cifar10 is not in .*cifar10: put .*all shards\) there, or run `labelnoise data fetch"
    ):
        datasets.cifar10(tmp_path)


def test_a_batch_that_is_missing_is_named(tmp_path):
    write_batches(tmp_path)
    (tmp_path / "cifar10" / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(ValueError, match=r"put cifar-10-batches-py/ with data_batch_3 \(or"):
        datasets.cifar10(tmp_path)


def test_labels_of_another_data_set_are_refused(tmp_path):
    write_batches(tmp_path, classes=17)
    with pytest.raises(ValueError, match=r"data_batch_1 has labels 0 to 14, expected 0 to 9"):
        datasets.cifar10(tmp_path)


def test_the_real_labels_and_the_first_real_images(real, tmp_path):
    (tmp_path / "cifar10").mkdir()
    labels = []
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        with pq.ParquetFile(real / "cifar10" / f"{name}.parquet") as file:
            labels.append(torch.tensor(file.read(["label"]).column("label").to_pylist()))
            rows = pa.Table.from_batches([next(file.iter_batches(300))])
        pq.write_table(rows, tmp_path / "cifar10" / f"{name}.parquet")
    assert torch.bincount(torch.cat(labels[:2])).tolist() == [5_000] * 10
    assert torch.bincount(labels[2]).tolist() == [1_000] * 10
    data = datasets.cifar10(tmp_path)
    assert data.train.inputs.shape == (600, 3, 32, 32)
    assert [data.class_names[label] for label in data.train.labels[:4]] == ["frog", "truck", "truck", "deer"]
    # The first pixels of data_batch_1's first image, a frog, as its tutorials print them.
    assert data.train.inputs[0, :, 0, 0].tolist() == [59, 62, 63]
    assert data.train.inputs[0, 0, 0, :3].tolist() == [59, 43, 50]
