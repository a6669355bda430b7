import pyarrow as pa
import pytest
import torch

from labelnoise._types import Texts
from labelnoise.datasets._checksum import checksum


def of(column):
    return checksum(pa.table({"x": column}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Texts(["ab", "c"]), Texts(["a", "bc"])),
        (Texts([]), Texts([""])),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(4, dtype=torch.uint8), torch.zeros(1)),
        (pa.table({"x": ["1"]}), pa.table({"x": [1]})),
        (pa.table({"x": [1]}), pa.table({"y": [1]})),
        (pa.table({"x": [1, None]}), pa.table({"x": [None, 1]})),
        (pa.table({"x": ["", None]}), pa.table({"x": [None, ""]})),
        (pa.table({"x": [0.0]}), pa.table({"x": [-0.0]})),
        (pa.table({"x": [0.1]}), pa.table({"x": [0.1 + 2**-55]})),
        (pa.table({"x": pa.nulls(1)}), pa.table({"x": pa.nulls(2)})),
        (
            pa.table({"x": pa.array([1], pa.timestamp("ns", "No/Where"))}),
            pa.table({"x": pa.array([2], pa.timestamp("ns", "No/Where"))}),
        ),
    ],
)
def test_what_differs_differs(one, other):
    assert checksum(one) != checksum(other)
    assert checksum(one) == checksum(one)


def test_parts_are_kept_apart():
    assert checksum(Texts(["a"]), Texts(["b"])) != checksum(Texts(["a", "b"]), Texts([]))
    tables = pa.table({"x": [1]}), pa.table({"y": [1]})
    assert checksum(*tables) != checksum(pa.table({"x": [1], "y": [1]}))


def test_neither_chunks_nor_what_lies_under_a_gap_count():
    whole = pa.array(["a", None, "b", "c"])
    assert of(whole) == of(pa.chunked_array([whole[:1], whole[1:]]))
    values, present = pa.py_buffer(bytes([1, 7, 3])), pa.py_buffer(bytes([0b101]))
    assert of(pa.Array.from_buffers(pa.uint8(), 3, [present, values])) == of(pa.array([1, None, 3], pa.uint8()))
    assert of(whole.dictionary_encode()) == of(pa.array(["x", *whole.to_pylist()]).dictionary_encode()[1:])


def test_columns_no_feature_is_made_of():
    assert of([[1], [2]]) == of([[1], [3]])


def test_files_count_by_what_is_in_them(tmp_path):
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (tmp_path / name for name in "abc")
    assert checksum((a, b)) == checksum((c, b)) != checksum((b, a))
    assert checksum((a,), (b,)) != checksum((a, b))
