"""CIFAR-10N: CIFAR-10 with the labels people gave it on Amazon Mechanical Turk."""

from pathlib import Path

from labelnoise import _registry
from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._human import check_published_rates, with_human_labels
from labelnoise.datasets._source import Download, Source, missing
from labelnoise.datasets.cifar10 import SOURCE as IMAGES
from labelnoise.datasets.cifar10 import cifar10

_NAME, _FILE = "cifar10n", "CIFAR-10_human.pt"
_COLUMNS = {
    "worst": "worse_label",
    "aggregate": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
}
_RATES = {
    "worse_label": 0.4021,
    "aggre_label": 0.0903,
    "random_label1": 0.1723,
    "random_label2": 0.1812,
    "random_label3": 0.1764,
}


def cifar10n(root: Path | str, *, labels: str = "worst") -> Dataset:
    """CIFAR-10N: CIFAR-10 with the labels of three people an image, 9 % to 40 % of them wrong.

    Inputs and test set are those of CIFAR-10; ``true_labels`` are its labels.

    Source: J. Wei et al., Learning with Noisy Labels Revisited, ICLR 2022, arXiv 2110.12088,
    https://github.com/UCSC-REAL/cifar-10-100n. The labels have a licence of their own, in that repository.

    Args:
        root: folder with ``cifar10/``, which holds CIFAR-10 and ``CIFAR-10_human.pt``.
        labels: ``worst`` (a wrong one of the three where there is any, 40.21 % wrong), ``aggregate`` (their majority,
            9.01 %), ``random1``, ``random2`` or ``random3`` (one of them, 17 % to 18 %).

    Raises:
        ValueError: unknown ``labels``; a file that is missing, damaged, hostile or something else; labels that were
            given to other images than these, or to these in another order.

    Example: ``cifar10n("data", labels="aggregate").train.labels``.
    """
    _registry.check_name("labels of cifar10n", labels, _COLUMNS)
    *_, path = _locate(Path(root))
    return with_human_labels(_NAME, cifar10(root), path, _COLUMNS[labels])


def _locate(root: Path) -> list[Path]:
    found = IMAGES.locate(root)
    path = root / IMAGES.folder / _FILE
    if not path.is_file():
        raise missing(_NAME, path.parent, _FILE)
    return [*found, path]


def _check(path: Path) -> None:
    check_published_rates(path, _RATES, count=IMAGES.expected.train, classes=10)


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
    needs="cifar10",
)
