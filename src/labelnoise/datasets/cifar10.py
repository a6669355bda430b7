"""CIFAR-10: 60,000 photographs of 32x32 pixels, 10 classes."""

from pathlib import Path

from labelnoise.datasets._cifar import Cifar, find_cifar, load_cifar
from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._source import Download, Expected, Source

CIFAR10 = Cifar(
    name="cifar10",
    batches="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test=("test_batch",),
    batch_label="labels",
    parquet_label="label",
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)


def cifar10(root: Path | str) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour photographs, 32x32 pixels, 10 classes.

    Inputs are (n, 3, 32, 32) uint8, in the order of the original files.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009,
    https://www.cs.toronto.edu/~kriz/cifar.html. No licence is stated: use it, do not hand it on.

    Args:
        root: folder with ``cifar10/``, which holds the original ``cifar-10-batches-py/`` (read through a restricted
            unpickler), or the Parquet shards of the hub, ``train-00000-of-00001.parquet`` and so on.

    Raises:
        ValueError: a file is missing, damaged, hostile or something else.

    Example: ``cifar10("data").train.inputs.shape`` is ``(50000, 3, 32, 32)``.
    """
    return load_cifar(CIFAR10, Path(root))


def _locate(root: Path) -> list[Path]:
    files = find_cifar(CIFAR10, root)
    return [*files.train, *files.test]


SOURCE = Source(
    folder=CIFAR10.name,
    locate=_locate,
    expected=Expected(train=50_000, test=10_000, classes=10, shape=(3, 32, 32)),
    downloads=(
        Download(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            max_bytes=256 * 2**20,
            md5="c58f30108f718f92721af3b95e74349a",
            members=CIFAR10.members(),
        ),
    ),
    md5={
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    },
)
