"""Tiny files in the formats of the real ones."""

import gzip
import io
import pickle
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image


def idx(array):
    """An IDX file of unsigned bytes, as LeCun's page describes it."""
    array = np.asarray(array, dtype=np.uint8)
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_fashion(root, *, train=7, test=4, zipped=True):
    """Random images whose labels count up; returns the arrays by file name."""
    folder = root / "fashion-mnist"
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for part, count in (("train", train), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = noise_images(count, (28, 28))
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(count) % 10
    for name, array in arrays.items():
        data = idx(array)
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)
    return arrays


def noise_images(count, shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def python2_batch(images, labels, field=b"labels", *, shape=None, dtype=b"u1"):
    """A batch as Python 2 and the NumPy of 2009 pickled it, opcode by opcode; tests may lie about shape and dtype."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def integer(value):
        return b"J" + struct.pack("<i", value)

    raw = np.ascontiguousarray(images).tobytes()
    rows, columns = shape or (len(images), 3072)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01" + integer(rows) + integer(columns) + b"\x86cnumpy\ndtype\n" + text(dtype) + b"K\x00K\x01\x87R"
        b"(K\x03" + text(b"|") + b"NNN" + integer(-1) * 2 + b"K\x00tb\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    )
    entries = b"](" + b"".join(integer(int(label)) for label in labels) + b"e"
    names = b"](" + b"".join(text(b"%d.png" % row) for row in range(len(labels))) + b"e"
    return (
        b"\x80\x02}q\x01(" + text(b"batch_label") + text(b"training batch 1 of 5") + text(field) + entries
        + text(b"data") + array + text(b"filenames") + names + b"u."
    )  # fmt: skip


def write_batches(root, name="cifar10", *, each=3, classes=10):
    """The python batches of a whole tiny CIFAR; returns train images, train labels, test images, test labels."""
    files = {
        "cifar10": ("cifar-10-batches-py", [f"data_batch_{n}" for n in range(1, 6)], "test_batch", b"labels"),
        "cifar100": ("cifar-100-python", ["train"], "test", b"fine_labels"),
    }
    folder, train, test, field = files[name]
    (root / name / folder).mkdir(parents=True)
    images = noise_images(each * (len(train) + 1), (3, 32, 32))
    labels = np.arange(len(images)) * 7 % classes
    for position, file in enumerate([*train, test]):
        part = slice(each * position, each * (position + 1))
        (root / name / folder / file).write_bytes(python2_batch(images[part], labels[part], field))
    split = each * len(train)
    return images[:split], labels[:split], images[split:], labels[split:]


def encoded(image, kind="PNG", **options):
    """An image (3, h, w) as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(file, kind, **options)
    return file.getvalue()


def parquet_table(files, labels, label="label"):
    """A table in the hub's layout."""
    return pa.table({
        "img": pa.array([{"bytes": file, "path": None} for file in files],
                        pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        label: pa.array([int(entry) for entry in labels], pa.int64()),
    })  # fmt: skip


def write_shards(root, name="cifar10", *, train=(3, 2), test=2, classes=10, label="label", kind="PNG"):
    """The Parquet shards of a whole tiny CIFAR; returns train images, train labels, test images, test labels."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    options = {"lossless": True} if kind == "WEBP" else {}
    images = noise_images(sum(train) + test, (3, 32, 32), seed=1)
    labels = np.arange(len(images)) * 3 % classes
    files, start = [encoded(image, kind, **options) for image in images], 0
    sizes = [("train", shard, len(train), size) for shard, size in enumerate(train)] + [("test", 0, 1, test)]
    for split, shard, shards, size in sizes:
        part = slice(start, start + size)
        path = folder / f"{split}-{shard:05}-of-{shards:05}.parquet"
        pq.write_table(parquet_table(files[part], labels[part], label), path)
        start += size
    split = sum(train)
    return images[:split], labels[:split], images[split:], labels[split:]


class Dangerous:
    """Pickles as a call of ``os.system``."""

    def __init__(self, marker):
        self.command = f"touch {marker}"

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def pickled(content, protocol=2):
    return pickle.dumps(content, protocol=protocol)


def write_human(path, columns):
    """As the authors of CIFAR-N saved it: a dict of arrays."""
    torch.save({name: np.asarray(labels, dtype=np.int64) for name, labels in columns.items()}, path)
