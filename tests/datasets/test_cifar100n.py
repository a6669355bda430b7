import pytest
import torch
from dataset_files import write_batches, write_human

from labelnoise import datasets


def test_the_given_labels_are_the_peoples_and_the_true_ones_cifars(tmp_path):
    _, labels, _, _ = write_batches(tmp_path, "cifar100", each=9, classes=100)
    path = tmp_path / "cifar100" / "CIFAR-100_human.pt"
    with pytest.raises(ValueError, match=r"cifar100n is not in .*put CIFAR-100_human.pt there"):
        datasets.cifar100n(tmp_path)
    write_human(path, {"clean_label": labels, "noisy_label": (labels + 1) % 100})
    data = datasets.load("cifar100n", root=tmp_path)
    assert data.train.labels.tolist() == ((labels + 1) % 100).tolist()
    assert torch.equal(data.true_labels, datasets.cifar100(tmp_path).train.labels)
    write_human(path, {"clean_label": labels[::-1], "noisy_label": labels})
    with pytest.raises(ValueError, match="does not go with these images"):
        datasets.cifar100n(tmp_path)
