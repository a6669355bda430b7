import struct
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_files import encoded, noise_images, parquet_table

from labelnoise.datasets._cifar_parquet import read_parquet

IMAGES = noise_images(3, (3, 32, 32))
PNG = [encoded(image) for image in IMAGES]
LABELS = [3, 0, 9]


def read(path, *, limit=10):
    return read_parquet([path], label="label", classes=10, limit=limit)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_every_pixel_and_label_comes_back(tmp_path, kind, options):
    path = tmp_path / "shard.parquet"
    pq.write_table(parquet_table([encoded(image, kind, **options) for image in IMAGES], LABELS), path)
    images, labels = read(path)
    assert np.array_equal(images.numpy(), IMAGES)
    assert labels.tolist() == LABELS


def test_shards_follow_one_another(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, part in zip(paths, (slice(0, 2), slice(2, 3)), strict=True):
        pq.write_table(parquet_table(PNG[part], LABELS[part]), path)
    images, labels = read_parquet(paths, label="label", classes=10, limit=3)
    assert np.array_equal(images.numpy(), IMAGES)
    assert labels.tolist() == LABELS
    with pytest.raises(ValueError, match=r"b.parquet brings the images to 3, expected at most 2"):
        read_parquet(paths, label="label", classes=10, limit=2)


def png_of(width, height):
    """A PNG whose header promises any size: nothing of it has to be there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    body = b"IDAT" + zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (chunk, body, b"IEND")
    )


def webp_of(width, height):
    """A lossless WebP whose header promises any size."""
    bits = (width - 1) | (height - 1) << 14
    body = b"\x2f" + struct.pack("<I", bits) + bytes(20)
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def animated():
    import io

    from PIL import Image

    frames = [Image.fromarray(image.transpose(1, 2, 0)) for image in IMAGES]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (None, "got nothing"),
        (b"", "is damaged"),
        (b"not an image", "is damaged"),
        (PNG[0][:500], "is damaged"),
        (PNG[0].replace(b"IDAT", b"IDAX"), "is damaged"),
        (encoded(IMAGES[0], "WEBP", lossless=True)[:500], "is damaged"),
        (encoded(IMAGES[0], "BMP"), "is damaged"),
        (encoded(IMAGES[0], "JPEG"), "is damaged"),
        (encoded(noise_images(1, (3, 32, 33))[0]), r"must be 32x32 RGB, got \(33, 32\)"),
        (encoded(noise_images(1, (4, 32, 32))[0]), r"must be 32x32 RGB, got \(32, 32\) RGBA"),
        (animated(), "must be 32x32 RGB"),
        (png_of(32, 32), "is damaged"),
        (png_of(60_000, 60_000), "is damaged|60000"),
        (png_of(12_000, 12_000), "12000"),
        (webp_of(16_000, 16_000), "is damaged|16000"),
        (encoded(noise_images(1, (3, 32, 32))[0]) + bytes(20_000), "got 2.,... bytes"),
    ],
)
def test_an_image_that_is_none_is_named_by_its_row(tmp_path, image, message):
    path = tmp_path / "shard.parquet"
    pq.write_table(parquet_table([*PNG[:2], image], LABELS), path)
    with pytest.raises(ValueError, match=f"shard.parquet: the image in row 2 .*{message}") as raised:
        read(path)
    assert "\n" not in str(raised.value)


GOOD = parquet_table(PNG, LABELS)
IMG = GOOD.column("img")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (GOOD.rename_columns(["image", "label"]), "no column img with bytes; its columns: image, label"),
        (GOOD.rename_columns(["img", "fine"]), "no integer column label; its columns: img, fine"),
        (pa.table({"img": pa.array(PNG), "label": LABELS}), "no column img with bytes"),
        (pa.table({"img": pa.array([{"path": "a"}] * 3), "label": LABELS}), "no column img with bytes"),
        (pa.table({"img": pa.array([{"bytes": "a"}] * 3), "label": LABELS}), "img.bytes must be binary, got string"),
        (pa.table({"img": IMG, "label": ["3", "0", "9"]}), "no integer column label"),
        (pa.table({"img": IMG, "label": [3, None, 9]}), "row 1 has the label None"),
        (pa.table({"img": IMG, "label": pa.array([3, 2**64 - 1, 9], pa.uint64())}), "row 1 has the label 1844"),
        (pa.table({"img": IMG, "label": [3, 10, 9]}), "has labels 3 to 10, expected 0 to 9"),
        (pa.table({"img": IMG, "label": [3, -1, 9]}), "has labels -1 to 9"),
        (GOOD.slice(0, 0), "holds no images"),
        (pa.concat_tables([GOOD] * 4), "brings the images to 12, expected at most 10"),
        (parquet_table([bytes(200_000)] * 3, LABELS), "unpacks to|got 200,000 bytes"),
        (
            parquet_table([bytes([n]) + bytes(10**6) for n in range(3)], LABELS),
            "unpacks to 3,0.* too many for 3 images",
        ),
    ],
)
def test_a_table_in_another_layout_is_refused(tmp_path, table, message):
    path = tmp_path / "shard.parquet"
    pq.write_table(table, path)
    with pytest.raises(ValueError, match=message) as raised:
        read(path)
    assert "shard.parquet" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", ["empty", "text", "front", "back", "middle"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "shard.parquet"
    pq.write_table(GOOD, path, write_page_checksum=True, compression="none")
    data = path.read_bytes()
    half = len(data) // 2
    middle = data[: half - 2000] + bytes(4000) + data[half + 2000 :]
    broken = {"empty": b"", "text": b"hello", "front": data[:half], "back": data[half:], "middle": middle}
    path.write_bytes(broken[damage])
    with pytest.raises(ValueError, match=r"shard\.parquet") as raised:
        read(path)
    assert "\n" not in str(raised.value)
