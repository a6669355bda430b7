"""CIFAR-100: 60,000 photographs of 32x32 pixels, 100 classes."""

from pathlib import Path

from labelnoise.datasets._cifar import Cifar, find_cifar, load_cifar
from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._source import Download, Expected, Source

_CLASS_NAMES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip

CIFAR100 = Cifar(
    name="cifar100",
    batches="cifar-100-python",
    train=("train",),
    test=("test",),
    batch_label="fine_labels",
    parquet_label="fine_label",
    class_names=_CLASS_NAMES,
)


def cifar100(root: Path | str) -> Dataset:
    """CIFAR-100: 50,000 + 10,000 colour photographs, 32x32 pixels, 100 classes (the fine labels).

    Inputs are (n, 3, 32, 32) uint8, in the order of the original files.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009,
    https://www.cs.toronto.edu/~kriz/cifar.html. No licence is stated: use it, do not hand it on.

    Args:
        root: folder with ``cifar100/``, which holds the original ``cifar-100-python/`` (read through a restricted
            unpickler), or the Parquet shards of the hub, ``train-00000-of-00001.parquet`` and so on.

    Raises:
        ValueError: a file is missing, damaged, hostile or something else.

    Example: ``cifar100("data").train.inputs.shape`` is ``(50000, 3, 32, 32)``.
    """
    return load_cifar(CIFAR100, Path(root))


def _locate(root: Path) -> list[Path]:
    files = find_cifar(CIFAR100, root)
    return [*files.train, *files.test]


SOURCE = Source(
    folder=CIFAR100.name,
    locate=_locate,
    expected=Expected(train=50_000, test=10_000, classes=100, shape=(3, 32, 32)),
    downloads=(
        Download(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            max_bytes=256 * 2**20,
            md5="eb9058c3a382ffc7106e4002c42a8d85",
            members=CIFAR100.members(),
        ),
    ),
    md5={
        "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
        "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
)
