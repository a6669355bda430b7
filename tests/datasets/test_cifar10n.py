import numpy as np
import pytest
import torch
from dataset_files import write_batches, write_human

from labelnoise import datasets
from labelnoise.datasets._human import check_published_rates
from labelnoise.datasets.cifar10n import _RATES

COLUMNS = {
    "worst": "worse_label",
    "aggregate": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
}


@pytest.fixture
def clean(tmp_path):
    _, labels, _, _ = write_batches(tmp_path)
    columns = {column: (labels + shift) % 10 for shift, column in enumerate(COLUMNS.values())}
    write_human(tmp_path / "cifar10" / "CIFAR-10_human.pt", {"clean_label": labels, **columns})
    return labels


@pytest.mark.parametrize(("labels", "shift"), [(name, shift) for shift, name in enumerate(COLUMNS)])
def test_the_given_labels_are_the_peoples_and_the_true_ones_cifars(tmp_path, clean, labels, shift):
    data = datasets.load("cifar10n", root=tmp_path, labels=labels)
    plain = datasets.load("cifar10", root=tmp_path)
    assert data.train.labels.tolist() == ((clean + shift) % 10).tolist()
    assert torch.equal(data.true_labels, plain.train.labels)
    assert torch.equal(data.train.inputs, plain.train.inputs)
    assert torch.equal(data.test.labels, plain.test.labels)
    assert (data.checksum != plain.checksum) == (shift != 0)


@pytest.mark.usefixtures("clean")
def test_unless_told_otherwise_it_gives_the_worst(tmp_path):
    assert datasets.cifar10n(tmp_path).checksum == datasets.cifar10n(tmp_path, labels="worst").checksum


@pytest.mark.usefixtures("clean")
def test_unknown_labels_suggest_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="unknown labels of cifar10n 'worse'; did you mean 'worst'"):
        datasets.cifar10n(tmp_path, labels="worse")


def test_labels_in_another_order_are_refused(tmp_path, clean):
    path = tmp_path / "cifar10" / "CIFAR-10_human.pt"
    other = clean.copy()
    other[[4, 5]] = other[[5, 4]]
    write_human(path, {"clean_label": other, "worse_label": other})
    with pytest.raises(
        ValueError, match="does not go with these images: its clean label in row 4 is 5, the image's is 8"
    ):
        datasets.cifar10n(tmp_path)
    write_human(path, {"clean_label": clean[:-1], "worse_label": clean[:-1]})
    with pytest.raises(ValueError, match="has 14 labels for 15 images"):
        datasets.cifar10n(tmp_path)


def test_missing_files_are_named(tmp_path, clean):
    (tmp_path / "cifar10" / "CIFAR-10_human.pt").unlink()
    with pytest.raises(
        ValueError, match=r"cifar10n is not in .*cifar10: put CIFAR-10_human.pt there, or run .*fetch cifar10n"
    ):
        datasets.cifar10n(tmp_path)
    with pytest.raises(ValueError, match=r"cifar10 is not in .*put cifar-10-batches-py/"):
        datasets.cifar10n(tmp_path / "elsewhere")


def test_the_share_of_wrong_labels_tells_the_published_file(tmp_path):
    path = tmp_path / "CIFAR-10_human.pt"
    clean = np.zeros(1000, dtype=np.int64)
    worse = np.where(np.arange(1000) < 402, 1, 0)
    write_human(path, {"clean_label": clean, "worse_label": worse})
    check_published_rates(path, {"worse_label": 0.4021}, count=1000, classes=10)
    with pytest.raises(ValueError, match=r"worse_label is wrong in 40.20%, published are 9.03%"):
        check_published_rates(path, {"worse_label": 0.0903}, count=1000, classes=10)
    with pytest.raises(ValueError, match="has 1,000 labels, expected 50,000"):
        check_published_rates(path, {"worse_label": 0.4021}, count=50_000, classes=10)


def test_the_real_rates_are_the_published_ones(real):
    for kind, column in (("aggregate", "aggre_label"), ("worst", "worse_label")):
        with np.load(real / "detection" / f"cifar10n_{kind}_resnet18.npz") as file:
            rate = (file["given_labels"] != file["true_labels"]).mean()
        assert rate == pytest.approx(_RATES[column], abs=1e-3)
