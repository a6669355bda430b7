"""CIFAR-100N: CIFAR-100 with the labels people gave it on Amazon Mechanical Turk."""

from pathlib import Path

from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._human import check_published_rates, with_human_labels
from labelnoise.datasets._source import Download, Source, missing
from labelnoise.datasets.cifar100 import SOURCE as IMAGES
from labelnoise.datasets.cifar100 import cifar100

_NAME, _FILE, _COLUMN, _RATE = "cifar100n", "CIFAR-100_human.pt", "noisy_label", 0.4020


def cifar100n(root: Path | str) -> Dataset:
    """CIFAR-100N: CIFAR-100 with the label one person gave to each image, 40.20 % of them wrong.

    Inputs and test set are those of CIFAR-100; ``true_labels`` are its fine labels.

    Source: J. Wei et al., Learning with Noisy Labels Revisited, ICLR 2022, arXiv 2110.12088,
    https://github.com/UCSC-REAL/cifar-10-100n. The labels have a licence of their own, in that repository.

    Args:
        root: folder with ``cifar100/``, which holds CIFAR-100 and ``CIFAR-100_human.pt``.

    Raises:
        ValueError: a file is missing, damaged, hostile or something else; labels that were given to other images than
            these, or to these in another order.

    Example: ``cifar100n("data").train.labels``.
    """
    *_, path = _locate(Path(root))
    return with_human_labels(_NAME, cifar100(root), path, _COLUMN)


def _locate(root: Path) -> list[Path]:
    found = IMAGES.locate(root)
    path = root / IMAGES.folder / _FILE
    if not path.is_file():
        raise missing(_NAME, path.parent, _FILE)
    return [*found, path]


def _check(path: Path) -> None:
    check_published_rates(path, {_COLUMN: _RATE}, count=IMAGES.expected.train, classes=100)


SOURCE = Source(
    folder=IMAGES.folder,
    locate=_locate,
    expected=IMAGES.expected,
    downloads=(
        Download(
            f"https://github.com/UCSC-REAL/cifar-10-100n/raw/main/data/{_FILE}",
            max_bytes=16 * 2**20,
        ),
    ),
    md5=IMAGES.md5,
    checks={_FILE: _check},
    needs="cifar100",
)
