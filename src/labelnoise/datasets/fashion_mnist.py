"""Fashion-MNIST: 70,000 grey images of clothes, 28x28 pixels, 10 classes."""

from pathlib import Path

from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._idx import read_idx
from labelnoise.datasets._images import check_labels, image_set
from labelnoise.datasets._source import Download, Expected, Source, find, missing

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_NAME = "fashion-mnist"
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_ADDRESS = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"
_TRAIN, _TEST = 60_000, 10_000


def fashion_mnist(root: Path | str) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28x28 pixels, 10 classes.

    Inputs are (n, 1, 28, 28) uint8, in the order of the original files.

    Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv 1708.07747, https://github.com/zalandoresearch/fashion-mnist.
    Licence: MIT.

    Args:
        root: folder with ``fashion-mnist/``, which holds the four IDX files, gzipped or not.

    Raises:
        ValueError: a file is missing, truncated, damaged or something else.

    Example: ``fashion_mnist("data").train.inputs.shape`` is ``(60000, 1, 28, 28)``.
    """
    train_images, train_labels, test_images, test_labels = _locate(Path(root))
    return image_set(
        _NAME, _read(train_images, train_labels, _TRAIN), _read(test_images, test_labels, _TEST), CLASS_NAMES
    )


def _locate(root: Path) -> list[Path]:
    folder = root / _NAME
    found = [find(folder, name, f"{name}.gz") for name in _FILES]
    absent = [name for name, path in zip(_FILES, found, strict=True) if path is None]
    if absent:
        raise missing(_NAME, folder, f"{', '.join(absent)} (or .gz)")
    return [path for path in found if path]


def _read(images: Path, labels: Path, limit: int):
    pixels = read_idx(images, item=(28, 28), limit=limit)[:, None]
    classes = read_idx(labels, item=(), limit=limit).long()
    check_labels(labels, classes, count=len(pixels), classes=len(CLASS_NAMES))
    return pixels, classes


SOURCE = Source(
    folder=_NAME,
    locate=_locate,
    expected=Expected(train=_TRAIN, test=_TEST, classes=10, shape=(1, 28, 28)),
    downloads=tuple(Download(f"{_ADDRESS}/{name}.gz", max_bytes=64 * 2**20) for name in _FILES),
    md5={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)
