import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from labelnoise.datasets._own import Columns, read_own

LABELS = ["<script>alert(1)</script>", "=1+1", "a, b", "a, b", "=1+1", "=1+1"] + ["a, b"] * 9


def write_csv(path, **columns):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


@pytest.fixture
def table(tmp_path):
    texts = ["=cmd()", "", "one\ntwo", *map(str, range(12))]
    columns = {"text": texts, "age": range(15), "label": LABELS, "name": [f"n{row}" for row in range(15)]}
    return write_csv(tmp_path / "data.csv", **columns)


class TestTables:
    def test_texts(self, table):
        data = read_own(table, Columns(label="label", text="text"))
        assert data.kind == "text"
        assert data.inputs[:4] == ("=cmd()", "", "one\ntwo", "0")
        assert data.inputs[torch.tensor([2])] == ("one\ntwo",)
        assert data.labels == tuple(LABELS)
        assert data.ids == tuple(map(str, range(15)))

    def test_a_text_column_of_numbers_and_nothing(self, tmp_path):
        table = pa.table({"n": [1, None, 3] * 5, "x": pa.nulls(15), "label": LABELS})
        pq.write_table(table, tmp_path / "data.parquet")
        columns = Columns(label="label", text="n")
        assert read_own(tmp_path / "data.parquet", columns).inputs == ("1", "", "3") * 5
        assert read_own(tmp_path / "data.parquet", columns._replace(text="x")).inputs == ("",) * 15

    def test_the_other_columns_are_features(self, table):
        data = read_own(table, Columns(label="label", ignore=("text",), id="name"))
        assert data.kind == "table"
        assert data.inputs.to_pydict() == {"age": list(range(15))}
        assert data.ids == tuple(f"n{row}" for row in range(15))
        assert read_own(table, Columns(label="label", numeric=("age",))).inputs.column_names == ["text", "age", "name"]

    def test_an_ignored_column_may_be_there_twice(self, tmp_path):
        path = tmp_path / "data.csv"
        path.write_text("age,x,x,label\n" + "".join(f"{row},1,2,{'ab'[row % 2]}\n" for row in range(15)))
        assert read_own(path, Columns(label="label", ignore=("x",))).inputs.column_names == ["age"]
        with pytest.raises(ValueError, match="must have one column 'x', got 2"):
            read_own(path, Columns(label="label"))

    def test_what_pandas_adds_is_no_feature_and_what_pyarrow_cannot_take_is_read(self, tmp_path):
        columns = {"age": range(15), "city": pa.array(["Rom", "Bonn", "Ulm"] * 5, pa.string_view())}
        table = pa.table({**columns, "label": LABELS, "__index_level_0__": range(15)})
        pq.write_table(table, tmp_path / "data.parquet")
        inputs = read_own(tmp_path / "data.parquet", Columns(label="label")).inputs
        assert inputs.column_names == ["age", "city"]
        assert inputs.take(pa.array([2, 1]))["city"].to_pylist() == ["Ulm", "Bonn"]

    def test_all_formats_give_the_same(self, tmp_path):
        rows = [{"age": row, "label": label} for row, label in enumerate(LABELS)]
        write_csv(tmp_path / "data.csv", age=range(15), label=LABELS)
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data.parquet")
        read = [read_own(path, Columns(label="label")) for path in tmp_path.iterdir()]
        assert len(read) == 3
        assert len({data.checksum for data in read}) == 1
        for data in read:
            assert data.inputs.to_pydict() == {"age": list(range(15))}
            assert data.labels == tuple(LABELS)

    def test_images(self, tmp_path):
        (tmp_path / "pictures" / "<b>").mkdir(parents=True)
        names = [f"<b>/{row}.png" for row in range(14)] + ["./<b>/0.png"]
        for name in names:
            Image.new("L", (2, 2)).save(tmp_path / "pictures" / name)
        path = write_csv(tmp_path / "data.csv", file=names, label=LABELS)
        columns = Columns(label="label", image="file", root=tmp_path / "pictures")
        data = read_own(path, columns)
        assert data.kind == "image"
        assert data.inputs == tuple(tmp_path / "pictures" / name for name in names)
        assert data.ids == (*names[:-1], "<b>/0.png")
        assert data.labels == tuple(LABELS)

        moved = write_csv(tmp_path / "pictures" / "data.csv", file=names, label=LABELS, name=range(15))
        assert read_own(moved, Columns(label="label", image="file")).ids == data.ids
        assert read_own(moved, Columns(label="label", image="file", id="name")).ids == tuple(map(str, range(15)))

    def test_to_predict_neither_labels_nor_left_out_columns_are_needed(self, table):
        columns = Columns(label="label", ignore=("text", "gone"), id="name")
        data = read_own(table, columns, labelled=False)
        assert data.labels is None
        assert data.inputs.column_names == ["age"]
        unlabelled = write_csv(table.with_name("new.csv"), age=[1], name=["x"])
        assert read_own(unlabelled, columns, labelled=False).inputs.to_pydict() == {"age": [1]}
        with pytest.raises(ValueError, match=r"unknown column of .*new.csv 'text'"):
            read_own(unlabelled, Columns(text="text"), labelled=False)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (Columns(), r"label must name a column of .*data.csv \(one of: text, age, label, name\), got none"),
            (Columns(label="lable"), r"unknown column of .*data.csv 'lable'; did you mean 'label'\?"),
            (Columns(label="label", text="x"), "unknown column of .*data.csv 'x'"),
            (Columns(label="label", numeric=("agee",)), "unknown column of .*data.csv 'agee'; did you mean 'age'"),
            (Columns(label="label", ignore=("x",)), "unknown column of .*data.csv 'x'"),
            (Columns(label="label", id="x"), "unknown column of .*data.csv 'x'"),
            (Columns(label="label", text="text", image="name"), "must say one kind of input, got text and image"),
            (
                Columns(label="label", text="text", numeric=("age",)),
                "must say one kind of input, got text and numeric or categorical",
            ),
            (Columns(label="label", text="label"), r"must give each column of .* one role, got two for 'label'"),
            (Columns(label="label", ignore=("age",), id="age"), "one role, got two for 'age'"),
            (
                Columns(label="label", ignore=("text", "age", "name")),
                "must have a column of features, got only text, age",
            ),
            (Columns(label="name"), "as many values in name as it has rows, 15, got 15: not a label column"),
        ],
    )
    def test_columns_that_cannot_be(self, table, columns, message):
        with pytest.raises(ValueError, match=message) as raised:
            read_own(table, columns)
        assert "\n" not in str(raised.value)

    def test_a_root_without_images(self, table):
        with pytest.raises(ValueError, match="root must be given with an image column only, got"):
            read_own(table, Columns(label="label", text="text", root=table.parent))

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "data.csv is empty"),
            (b"text,label\n", "data.csv holds no rows"),
            (b"text,label\n" + "ü,a\n".encode("latin1"), "must be UTF-8 text, got the byte 0xfc in line 2"),
            (b"text,label,x,x\n" + b"t,a,1,2\nt,b,1,2\n" * 9, "must have one column 'x', got 2"),
            (b"text,label\n" + b"t,a\nt,b\n" * 9 + b"t", "cannot be read: CSV parse error: Row #20"),
        ],
    )
    def test_broken_tables(self, tmp_path, data, message):
        (tmp_path / "data.csv").write_bytes(data)
        with pytest.raises(ValueError, match=message):
            read_own(tmp_path / "data.csv", Columns(label="label"))

    def test_bytes_that_are_no_text(self, tmp_path):
        path = tmp_path / "data.parquet"
        broken = pa.array([b"\xff"] * 15).view(pa.string())
        pq.write_table(pa.table({"text": broken, "list": [[1]] * 15, "label": LABELS}), path)
        with pytest.raises(ValueError, match=r"data.parquet must have text in UTF-8 as text, got string"):
            read_own(path, Columns(label="label", text="text"))
        with pytest.raises(ValueError, match=r"data.parquet must have text in UTF-8 as list, got list"):
            read_own(path, Columns(label="label", text="list"))
        with pytest.raises(ValueError, match=r"data.parquet is damaged: .*UTF8"):
            read_own(path, Columns(label="label"))


class TestOtherData:
    def test_a_folder(self, tmp_path):
        for row in range(10):
            (tmp_path / f"{row % 2}").mkdir(exist_ok=True)
            Image.new("L", (2, 2), row).save(tmp_path / f"{row % 2}" / f"{row}.png")
        data = read_own(tmp_path)
        assert data.kind == "image"
        assert data.labels == ("0",) * 5 + ("1",) * 5
        assert data.ids[:2] == ("0/0.png", "0/2.png")
        assert data.inputs[1] == tmp_path / "0/2.png"
        unlabelled = read_own(tmp_path, labelled=False)
        assert unlabelled == data._replace(labels=None)

        before = data.checksum
        assert unlabelled.checksum != before
        Image.new("L", (2, 2), 99).save(tmp_path / "0/2.png")
        assert data.checksum != before
        (tmp_path / "0/2.png").unlink()
        with pytest.raises(ValueError, match=r"2.png cannot be read: No such file"):
            _ = data.checksum

    def test_arrays(self, tmp_path):
        features, labels = np.eye(10), np.arange(10) % 2
        np.savez(tmp_path / "data.npz", features=features, labels=labels)
        np.save(tmp_path / "x.npy", features)
        np.save(tmp_path / "y.npy", labels)
        data = read_own(tmp_path / "data.npz")
        assert data.kind == "features"
        assert torch.equal(data.inputs, torch.eye(10))
        assert data.labels == ("0", "1") * 5
        assert data.ids == tuple(map(str, range(10)))
        again = read_own(tmp_path / "x.npy", labels=tmp_path / "y.npy")
        assert torch.equal(again.inputs, data.inputs)
        assert (again.kind, again.labels, again.checksum) == (data.kind, data.labels, data.checksum)
        np.savez(tmp_path / "data.npz", images=np.zeros((10, 2, 3), np.uint8), labels=labels)
        images = read_own(tmp_path / "data.npz")
        assert (images.kind, images.inputs.shape) == ("image", (10, 1, 2, 3))

    @pytest.mark.parametrize(
        ("name", "settings", "message"),
        [
            ("gone", {}, "there is no file or folder .*gone"),
            ("data.txt", {}, r"a table must be a file in .csv, .*, got .*data.txt"),
            (
                "data.csv",
                {"labels": "y.npy"},
                r"labels must be given with data in .npy only, got y.npy with .*data.csv",
            ),
            (
                "data.npz",
                {"columns": Columns(label="x")},
                "columns must be given with a table only, got some with .*npz",
            ),
            ("", {"columns": Columns(label="x")}, "columns must be given with a table only"),
            ("data.npy", {}, "labels must be an .npy file with the labels of .*data.npy, got none"),
        ],
    )
    def test_data_that_cannot_be(self, tmp_path, name, settings, message):
        if name != "gone":
            (tmp_path / "data.csv").with_name(name or "data.csv").write_bytes(b"x")
        labels = {"labels": tmp_path / settings["labels"]} if "labels" in settings else {}
        message = message.replace("got y.npy", "got .*y.npy")
        with pytest.raises(ValueError, match=message):
            read_own(tmp_path / name, **{**settings, **labels})
