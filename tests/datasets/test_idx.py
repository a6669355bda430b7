import gzip
import tracemalloc

import numpy as np
import pytest
import torch
from dataset_files import idx, noise_images

from labelnoise.datasets._idx import read_idx

IMAGES = noise_images(3, (4, 5))
FILE = idx(IMAGES)


@pytest.mark.parametrize("data", [FILE, gzip.compress(FILE)], ids=["plain", "gzipped"])
def test_every_pixel_comes_back_in_its_place(tmp_path, data):
    (tmp_path / "images").write_bytes(data)
    read = read_idx(tmp_path / "images", item=(4, 5), limit=3)
    assert read.dtype == torch.uint8
    assert np.array_equal(read.numpy(), IMAGES)


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "magic , expected 00000803"),
        (b"\0\0", "magic 0000"),
        (FILE[:9], "truncated in its header"),
        (FILE[:-1], "is truncated: 59 of 60 bytes"),
        (FILE + b"\0", "goes on after its 3 items"),
        (idx(np.arange(3)), "magic 00000801, expected 00000803"),
        (FILE.replace(b"\x08\x03", b"\x0d\x03", 1), "magic 00000d03"),
        (idx(noise_images(3, (5, 4))), r"items of shape \(5, 4\), expected \(4, 5\)"),
        (idx(noise_images(4, (4, 5))), "claims 4 items, expected 1 to 3"),
        (idx(noise_images(0, (4, 5))), "claims 0 items"),
        (FILE[:4] + b"\xff\xff\xff\xff" + FILE[8:], "claims 4,294,967,295 items"),
        (gzip.compress(FILE)[:-12], "cannot be read: Compressed file ended"),
        (flipped(gzip.compress(FILE), -6), "cannot be read: CRC check failed"),
        (flipped(gzip.compress(FILE), 12), "cannot be read"),
        (gzip.compress(b""), "magic"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, data, message):
    path = tmp_path / "images"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as raised:
        read_idx(path, item=(4, 5), limit=3)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_idx(tmp_path, item=(), limit=3)


def test_a_bomb_is_not_unpacked_beyond_what_there_may_be(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(FILE + bytes(200 * 2**20), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="goes on after"):
            read_idx(tmp_path / "bomb", item=(4, 5), limit=3)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
