import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from dataset_files import Dangerous, noise_images, pickled, python2_batch

from labelnoise.datasets._cifar_batch import read_batch

IMAGES = noise_images(4, (3, 32, 32))
LABELS = [3, 0, 9, 1]
FLAT = IMAGES.reshape(4, 3072)


def read(tmp_path, data):
    (tmp_path / "data_batch_1").write_bytes(data)
    return read_batch(tmp_path / "data_batch_1", label="labels", limit=10)


@pytest.mark.parametrize(
    "data",
    [
        python2_batch(IMAGES, LABELS),
        *(pickled({b"data": FLAT, b"labels": LABELS}, protocol) for protocol in (2, 3, 4)),
        pickled({"data": np.asfortranarray(FLAT), "labels": LABELS}, 4),
    ],
    ids=["python 2", "protocol 2", "protocol 3", "protocol 4", "column by column"],
)
def test_every_pixel_and_label_comes_back(tmp_path, data):
    images, labels = read(tmp_path, data)
    assert np.array_equal(images.numpy(), IMAGES)
    assert labels.tolist() == LABELS


def test_the_file_the_tests_build_is_what_pickle_reads_as_the_original(tmp_path):
    content = pickle.loads(python2_batch(IMAGES, LABELS), encoding="bytes")
    assert np.array_equal(content[b"data"], FLAT)
    assert content[b"labels"] == LABELS


def array_of(values):
    return pickled({b"data": np.asarray(values), b"labels": LABELS})


def called(module, name, argument):
    """A pickle that calls any function with one text, in the oldest protocol."""
    return f"c{module}\n{name}\n(V{argument}\ntR.".encode()


GOOD = python2_batch(IMAGES, LABELS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (called("os", "system", "true"), "asks for os.system, which no CIFAR batch needs"),
        (called("posix", "system", "true"), "asks for posix.system"),
        (called("builtins", "eval", "1"), "asks for builtins.eval"),
        (called("__builtin__", "eval", "1"), "asks for __builtin__.eval"),
        (called("numpy", "load", "file"), "asks for numpy.load"),
        (called("numpy", "ndarray.tofile", "file"), "asks for numpy.ndarray.tofile"),
        (called("_codecs", "decode", "file"), "asks for _codecs.decode"),
        (b"i" + b"os\nsystem\n.", "damaged"),
        (b"(S'true'\nios\nsystem\n.", "asks for os.system"),
        (b"Pid\n.", "persistent"),
        (b"\x82\x01.", "unregistered extension|damaged"),
        (b"", "damaged"),
        (b"not a pickle at all", "damaged"),
        (GOOD[:-1], "damaged"),
        (GOOD[: len(GOOD) // 2], "damaged"),
        (GOOD[:2000], "damaged"),
        (pickled([1, 2]), "holds a list, not the dict"),
        (pickled({b"labels": LABELS}), "has no 'data'"),
        (pickled({b"data": 1, b"fine_labels": LABELS}), "has no 'labels'"),
        (pickled({b"data": FLAT.tobytes(), b"labels": LABELS}), "data must be an array"),
        (pickled({b"data": FLAT, b"labels": ["a"] * 4}), "labels must be a list of integers"),
        (pickled({b"data": FLAT, b"labels": [2**70] * 4}), "labels must be a list of integers"),
        (pickled({b"data": FLAT, b"labels": 7}), "labels must be a list of integers"),
        (array_of(FLAT.astype(np.int64)), r"data must be unsigned bytes \(n, 3072\), got i8"),
        (array_of(FLAT[:, :3071]), r"got u1 \(4, 3071\)"),
        (array_of(FLAT[0]), "data must be an array"),
        (pickled({b"data": FLAT[:0], b"labels": []}, 4), "holds 0 images"),
        (array_of(np.concatenate([FLAT] * 3)), "holds 12 images, expected 1 to 10"),
        (array_of(np.array([[object()]], dtype=object)), "asks for"),
        (python2_batch(IMAGES, LABELS, shape=(5, 3072)), "in 12,288 bytes"),
        (python2_batch(IMAGES, LABELS, shape=(-4, 3072)), "in 12,288 bytes"),
        (python2_batch(IMAGES, LABELS, dtype=b"O8"), "got O8"),
        (b"(V" + b"]" * 5 + b"\n" + b"t" * 3 + b".", "damaged"),
        (b"]r\xff\xff\xff\x7f.", "numbers its objects up to 2147483647"),
        (b"]p99999999999\n.", "numbers its objects up to"),
        (b")" + b"\x85" * 20_000 + b"}q\x010h\x01.", "more than 10,000 tuples"),
        (b"\x8e" + struct.pack("<Q", 2**60) + b"x.", "damaged"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_a_hostile_or_broken_pickle_is_named_and_calls_nothing(tmp_path, data, message):
    with pytest.raises(ValueError, match=message) as raised:
        read(tmp_path, data)
    assert "data_batch_1" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "wrap", [lambda bad: bad, lambda bad: {b"data": FLAT, b"labels": [bad]}], ids=["bare", "inside"]
)
def test_os_system_is_never_called(tmp_path, protocol, wrap):
    marker = tmp_path / "called"
    with pytest.raises(ValueError, match=r"asks for (posix|nt|numpy)\."):
        read(tmp_path, pickled(wrap(Dangerous(marker)), protocol))
    assert not marker.exists()


def test_one_long_text_is_not_copied_again_and_again(tmp_path):
    encode = b"c_codecs\nencode\nq\x01"
    text = b"X" + struct.pack("<I", 10**6) + b"x" * 10**6 + b"q\x02"
    bomb = b"(" + encode + text + b"X\x06\0\0\0latin1q\x03" + b"h\x01h\x02h\x03\x86R" * 1000 + b"l."
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="encodes what no CIFAR batch encodes"):
            read(tmp_path, bomb)
        assert tracemalloc.get_traced_memory()[1] < 20 * 10**6
    finally:
        tracemalloc.stop()


def test_a_stub_changes_nothing_outside_its_own_pickle(tmp_path):
    """BUILD may set attributes of what find_class gives: two loads may not see each other's."""
    build = b"c_codecs\nencode\n}X\x04\0\0\0nameX\x01\0\0\0xsb."
    with pytest.raises(ValueError, match=r"not a CIFAR batch|holds a"):
        read(tmp_path, build)
    assert read(tmp_path, GOOD)[1].tolist() == LABELS


def test_a_folder_and_a_giant_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_batch(tmp_path, label="labels", limit=10)
    with (tmp_path / "giant").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ValueError, match="more than any CIFAR batch"):
        read_batch(tmp_path / "giant", label="labels", limit=10)
