import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from labelnoise.datasets._own_arrays import read_npy, read_npz

LABELS = np.arange(10) % 2
FEATURES = np.arange(20.0).reshape(10, 2)


def npz(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def claiming(shape):
    """An .npy file whose header promises ``shape``, with 160 bytes of data."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(160)


class TestFeatures:
    @pytest.mark.parametrize("dtype", [">f8", "f4", "f2", "i8", ">i2", "u1"])
    def test_numbers_are_float32(self, tmp_path, dtype):
        data = read_npz(npz(tmp_path, features=FEATURES.astype(dtype), labels=LABELS), labelled=True)
        assert data.inputs.dtype == torch.float32
        assert data.inputs.tolist() == FEATURES.tolist()
        assert data.labels == ("0", "1") * 5

    def test_fortran_order_and_truth_values(self, tmp_path):
        data = read_npz(npz(tmp_path, features=np.asfortranarray(FEATURES > 8), labels=LABELS), labelled=True)
        assert data.inputs.tolist() == (FEATURES > 8).tolist()
        assert data.inputs.is_contiguous()

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
    def test_numbers_that_are_not_finite(self, tmp_path, value):
        features = FEATURES.copy()
        features[[7, 9], 1] = value
        with pytest.raises(ValueError, match="must hold finite float32 features, got another in row 7, counted from 0"):
            read_npz(npz(tmp_path, features=features, labels=LABELS), labelled=True)

    @pytest.mark.parametrize(
        ("features", "got"),
        [
            (np.zeros(10), r"float64 \(10,\)"),
            (np.zeros((10, 2, 2)), r"float64 \(10, 2, 2\)"),
            (np.zeros((0, 2)), r"float64 \(0, 2\)"),
            (np.zeros((10, 0)), r"float64 \(10, 0\)"),
            (np.zeros((10, 2), complex), r"complex128 \(10, 2\)"),
            (np.full((10, 2), "1"), r"<U1 \(10, 2\)"),
            (np.zeros((10, 2), [("a", int)]), r"\[\('a', '<i8'\)\] \(10, 2\)"),
        ],
    )
    def test_other_arrays(self, tmp_path, features, got):
        with pytest.raises(ValueError, match=rf"must hold features as numbers \(n, d\), got {got}"):
            read_npz(npz(tmp_path, features=features, labels=LABELS), labelled=True)


class TestImages:
    PIXELS = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 5), dtype=np.uint8)

    @pytest.mark.parametrize(
        ("images", "expected"),
        [
            (PIXELS, PIXELS),
            (PIXELS[:, :1], PIXELS[:, :1]),
            (PIXELS.transpose(0, 2, 3, 1), PIXELS),
            (PIXELS[:, 0], PIXELS[:, :1]),
            (PIXELS[:, 0, :, :, None], PIXELS[:, :1]),
        ],
    )
    def test_channels_come_first(self, tmp_path, images, expected):
        data = read_npz(npz(tmp_path, images=images, labels=LABELS), labelled=True)
        assert data.inputs.dtype == torch.uint8
        assert np.array_equal(data.inputs.numpy(), expected)

    @pytest.mark.parametrize(
        "images",
        [
            np.zeros((10, 4, 4), np.float32),
            np.zeros((10, 2, 4, 4), np.uint8),
            np.zeros((10, 4, 4, 4), np.uint8),
            np.zeros((10, 4), np.uint8),
            np.zeros((0, 4, 4), np.uint8),
            np.zeros((10, 0, 4), np.uint8),
        ],
        ids=lambda images: str(images.shape),
    )
    def test_other_arrays(self, tmp_path, images):
        with pytest.raises(ValueError, match=rf"must hold images as uint8 .*, got {images.dtype} \({images.shape[0]},"):
            read_npz(npz(tmp_path, images=images, labels=LABELS), labelled=True)


class TestLabels:
    @pytest.mark.parametrize(
        "labels",
        [np.array(["<script>", "=1"] * 5), np.array([-1, 7] * 5, np.int8), np.array([1, 2**64 - 1] * 5, np.uint64)],
    )
    def test_integers_and_text(self, tmp_path, labels):
        expected = tuple(map(str, labels.tolist()))
        assert read_npz(npz(tmp_path, features=FEATURES, labels=labels), labelled=True).labels == expected

    def test_a_class_of_one_sample_is_a_class(self, tmp_path):
        assert (
            read_npz(npz(tmp_path, features=FEATURES, labels=np.eye(10, dtype=int)[0]), labelled=True).labels[0] == "1"
        )

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (LABELS[:9], "must hold a label for each of 10 rows, got 9"),
            (LABELS.astype(float), r"must hold labels as integers or text \(n\), got float64 \(10,\)"),
            (LABELS[:, None], r"got int64 \(10, 1\)"),
            (LABELS[:, None] == [0, 1], r"got bool \(10, 2\)"),
            (np.array(["a", "b", " ", "a", "b"] * 2), "has no label in row 2, counted from 0"),
            (np.zeros(10, int), "at least two classes in labels, got '0' in every row"),
            (np.arange(10), "a fifth as many values in labels as it has rows, 10, got 10: not a label column"),
            (np.array(["a", "\ud800"] * 5), "must hold labels in Unicode, got other bytes"),
            (np.array([97, 0x110000] * 5, np.uint32).view("U1"), "must hold labels in Unicode, got other bytes"),
            (np.array(["a", None] * 5), "cannot be read: it holds Python objects, which are never loaded"),
        ],
    )
    def test_what_is_no_label(self, tmp_path, labels, message):
        with pytest.raises(ValueError, match=rf"data.npz.*{message}") as raised:
            read_npz(npz(tmp_path, features=FEATURES, labels=labels), labelled=True)
        assert "\n" not in str(raised.value)

    def test_they_are_not_needed_to_predict(self, tmp_path):
        assert read_npz(npz(tmp_path, features=FEATURES), labelled=False).labels is None
        assert read_npz(npz(tmp_path, features=FEATURES, labels=LABELS[:3]), labelled=False).labels is None
        with pytest.raises(ValueError, match="must hold labels, got features, more"):
            read_npz(npz(tmp_path, features=FEATURES, more=LABELS), labelled=True)


class TestFiles:
    def test_one_kind_of_input(self, tmp_path):
        for arrays in ({"labels": LABELS}, {"features": FEATURES, "images": TestImages.PIXELS, "labels": LABELS}):
            got = ", ".join(arrays)
            with pytest.raises(ValueError, match=f"must hold either features or images, got {got}"):
                read_npz(npz(tmp_path, **arrays), labelled=True)
        with pytest.raises(ValueError, match="must hold either features or images, got nothing"):
            read_npz(npz(tmp_path), labelled=True)

    @pytest.mark.parametrize(
        "shape", ["(10, 3)", f"({2**25}, {2**10})", f"({2**40}, {2**20})", f"({2**63}, 2)", "(-1, 2)"]
    )
    def test_a_header_that_claims_more_than_there_is(self, tmp_path, shape):
        path = npz(tmp_path, labels=LABELS)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("features.npy", claiming(shape), zipfile.ZIP_DEFLATED)
        with pytest.raises(ValueError, match=r"data.npz cannot be read: ") as raised:
            read_npz(path, labelled=True)
        assert "\n" not in str(raised.value)
        (tmp_path / "x.npy").write_bytes(claiming(shape))
        with pytest.raises(ValueError, match=r"x.npy cannot be read: "):
            read_npy(tmp_path / "x.npy", path, labelled=True)

    def test_compressed(self, tmp_path):
        np.savez_compressed(tmp_path / "data.npz", features=FEATURES, labels=LABELS)
        assert read_npz(tmp_path / "data.npz", labelled=True).inputs.tolist() == FEATURES.tolist()

    @pytest.mark.parametrize(
        "damage", [lambda data: b"", lambda data: data[:-30], lambda data: data[:200] + b"?" + data[201:]]
    )
    def test_damage(self, tmp_path, damage):
        path = npz(tmp_path, features=FEATURES, labels=LABELS)
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(ValueError, match=r"data.npz cannot be read: ") as raised:
            read_npz(path, labelled=True)
        assert "\n" not in str(raised.value)

    def test_two_files(self, tmp_path):
        np.save(tmp_path / "x.npy", FEATURES)
        np.save(tmp_path / "y.npy", LABELS)
        data = read_npy(tmp_path / "x.npy", tmp_path / "y.npy", labelled=True)
        assert data.inputs.tolist() == FEATURES.tolist()
        assert data.labels == ("0", "1") * 5
        assert read_npy(tmp_path / "x.npy", None, labelled=False).labels is None

    @pytest.mark.parametrize(
        ("features", "labels", "message"),
        [
            (b"", npy_bytes(LABELS), "x.npy cannot be read: "),
            (npy_bytes(FEATURES)[:-1], npy_bytes(LABELS), "x.npy cannot be read: "),
            (npy_bytes(FEATURES), npy_bytes(LABELS)[:40], "y.npy cannot be read: "),
            (npy_bytes(FEATURES), npy_bytes(LABELS[:9]), "y.npy must hold a label for each of 10 rows, got 9"),
            (npy_bytes(np.array([[None]])), npy_bytes(LABELS), "x.npy cannot be read: it holds Python objects"),
            (npy_bytes(FEATURES), None, "y.npy cannot be read: No such file or directory"),
        ],
    )
    def test_broken_files(self, tmp_path, features, labels, message):
        for name, data in (("x.npy", features), ("y.npy", labels)):
            if data is not None:
                (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=message):
            read_npy(tmp_path / "x.npy", tmp_path / "y.npy", labelled=True)
