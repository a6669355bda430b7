import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from dataset_files import idx, noise_images, write_batches, write_fashion, write_human
from local_server import refusing, serving

from labelnoise import datasets
from labelnoise.datasets import clinc150, fashion_mnist
from labelnoise.tasks.data import fetch_data, list_data, verify_data

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.delenv("LABELNOISE_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")


def md5(data):
    return hashlib.md5(data).hexdigest()


def change(monkeypatch, name, **fields):
    monkeypatch.setitem(datasets.SOURCES, name, datasets.SOURCES[name]._replace(**fields))


def at(address, name):
    """The downloads of a data set, from another address."""
    return tuple(part._replace(url=f"{address}/{part.name}") for part in datasets.SOURCES[name].downloads)


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class TestList:
    def test_found_missing_and_without_files(self, tmp_path):
        write_fashion(tmp_path)
        files = {status.name: status.files for status in list_data(tmp_path)}
        assert list(files) == datasets.names()
        assert len(files["fashion-mnist"]) == 4
        assert files["cifar10"] is None
        assert files["digits"] == files["text-csv"] == []

    def test_no_root(self):
        status = next(status for status in list_data() if status.name == "fashion-mnist")
        assert status.files is None
        assert status.what.startswith("Fashion-MNIST: 60,000 + 10,000")


class TestVerify:
    @pytest.fixture
    def tiny(self, tmp_path, monkeypatch):
        """20 + 10 images, whose files are the official ones."""
        arrays = write_fashion(tmp_path, train=20, test=10)
        folder = tmp_path / "fashion-mnist"
        sums = {path.name: md5(path.read_bytes()) for path in folder.iterdir()}
        sums |= {name: md5(idx(array)) for name, array in arrays.items()}
        expected = datasets.SOURCES["fashion-mnist"].expected._replace(train=20, test=10)
        change(monkeypatch, "fashion-mnist", md5=sums, expected=expected)
        return folder

    def test_official_files(self, tiny):
        verified = verify_data("fashion-mnist", root=tiny.parent)
        assert {file.verdict for file in verified.files} == {"the official file"}
        assert verified[2:] == (20, 10, 10, 0.0)

    def test_what_was_compressed_anew_is_told_by_its_contents(self, tiny):
        path = tiny / "train-images-idx3-ubyte.gz"
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=1))
        verdicts = {file.path.name: file.verdict for file in verify_data("fashion-mnist", root=tiny.parent).files}
        assert verdicts.pop(path.name) == "the official contents, compressed anew"
        assert set(verdicts.values()) == {"the official file"}

    @pytest.mark.parametrize("zipped", [True, False])
    def test_one_pixel_is_told(self, tiny, zipped):
        path = tiny / "train-images-idx3-ubyte.gz"
        images = idx(noise_images(20, (28, 28), seed=5))
        path.unlink()
        path = path if zipped else path.with_suffix("")
        path.write_bytes(gzip.compress(images) if zipped else images)
        with pytest.raises(ValueError, match=rf"{path.name} is not the official file, or it is damaged: md5 \w+, exp"):
            verify_data("fashion-mnist", root=tiny.parent)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"train": 21}, "fashion-mnist has 20 training samples, expected 21: files incomplete?"),
            ({"test": 9}, "fashion-mnist has 10 test samples, expected 9"),
            ({"shape": (3, 28, 28)}, r"has training images of shape \(1, 28, 28\), expected \(3, 28, 28\)"),
            ({"classes": 5}, "has between 2 and 2 training samples a class, expected 4 in each"),
        ],
    )
    def test_other_counts_and_shapes_are_told(self, tiny, monkeypatch, fields, message):
        expected = datasets.SOURCES["fashion-mnist"].expected
        change(monkeypatch, "fashion-mnist", expected=expected._replace(**fields))
        with pytest.raises(ValueError, match=message):
            verify_data("fashion-mnist", root=tiny.parent)

    def test_human_labels_by_their_rate(self, tmp_path, monkeypatch):
        _, labels, _, _ = write_batches(tmp_path, each=10)
        checked = []
        change(
            monkeypatch,
            "cifar10n",
            md5={},
            expected=datasets.SOURCES["cifar10n"].expected._replace(train=50, test=10),
            checks={"CIFAR-10_human.pt": checked.append},
        )
        path = tmp_path / "cifar10" / "CIFAR-10_human.pt"
        given = np.where(np.arange(50) < 20, (labels + 1) % 10, labels)
        write_human(path, {"clean_label": labels, "worse_label": given})
        verified = verify_data("cifar10n", root=tmp_path)
        assert verified.wrong == 0.4
        assert checked == [path]
        assert [file.verdict for file in verified.files][-2:] == [
            "no official checksum",
            "contents as published (no official checksum)",
        ]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("fashion-mnits", "unknown data set 'fashion-mnits'; did you mean 'fashion-mnist'"),
            ("digits", "digits has no published files"),
            ("cifar100", "cifar100 is not in"),
        ],
    )
    def test_what_cannot_be_verified(self, tmp_path, name, message):
        with pytest.raises(ValueError, match=message):
            verify_data(name, root=tmp_path)

    @pytest.mark.skipif(not REAL.is_dir(), reason="the real data, ../shared/data beside the repository, are not here")
    @pytest.mark.parametrize("name", ["fashion-mnist", "clinc150"])
    def test_the_real_ones(self, name):
        verified = verify_data(name, root=REAL)
        assert verified.wrong == 0
        if name == "fashion-mnist":
            assert all(file.verdict.startswith("the official") for file in verified.files)


class TestFetch:
    @pytest.fixture
    def fashion(self, tmp_path, monkeypatch):
        """Tiny official files, as the server's pages."""
        write_fashion(tmp_path / "published")
        pages = {f"/{path.name}": path.read_bytes() for path in (tmp_path / "published" / "fashion-mnist").iterdir()}
        change(monkeypatch, "fashion-mnist", md5={name[1:]: md5(body) for name, body in pages.items()})
        return pages

    def fetch(self, monkeypatch, pages, root, name="fashion-mnist"):
        with serving(pages) as (address, asked):
            change(monkeypatch, name, downloads=at(address, name))
            return fetch_data(name, root=root), asked

    def refused(self, monkeypatch, pages, root, name="fashion-mnist"):
        before = everything_in(root.parent)
        with serving(pages) as (address, _):
            change(monkeypatch, name, downloads=at(address, name))
            with pytest.raises(ValueError, match=r"; get it elsewhere and put .* in ") as raised:
                fetch_data(name, root=root)
        assert everything_in(root.parent) == before
        assert "\n" not in str(raised.value)
        return str(raised.value)

    def test_all_files_arrive_in_a_folder_made_for_them(self, tmp_path, monkeypatch, fashion):
        root = tmp_path / "not" / "there" / "yet"
        files, asked = self.fetch(monkeypatch, fashion, root)
        assert sorted(asked) == sorted(fashion)
        assert everything_in(root) == ["fashion-mnist", *(f"fashion-mnist/{name[1:]}" for name in sorted(fashion))]
        assert {f"/{path.name}": path.read_bytes() for path in files} == fashion
        assert len(fashion_mnist(root).train.labels) == 7

    def test_what_is_there_is_not_fetched_again(self, tmp_path, monkeypatch, fashion):
        self.fetch(monkeypatch, fashion, tmp_path / "root")
        (tmp_path / "root" / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
        _, asked = self.fetch(monkeypatch, fashion, tmp_path / "root")
        assert asked == ["/t10k-labels-idx1-ubyte.gz"]
        _, asked = self.fetch(monkeypatch, fashion, tmp_path / "root")
        assert asked == []

    def test_a_broken_file_that_is_there_is_told_before_anything_is_fetched(self, tmp_path, monkeypatch, fashion):
        self.fetch(monkeypatch, fashion, tmp_path / "root")
        folder = tmp_path / "root" / "fashion-mnist"
        (folder / "train-images-idx3-ubyte.gz").write_bytes(b"half")
        (folder / "t10k-labels-idx1-ubyte.gz").unlink()
        with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz is not the official file"):
            self.fetch(monkeypatch, fashion, tmp_path / "root")

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            ((404, {}, b""), "cannot be fetched: the server says 404 Not Found"),
            ((200, {"Content-Length": "99999"}, b"half"), "broke off after 4 of 99,999 bytes"),
            (b"something else", "is not the official file, or it is damaged: md5"),
            (b"", "is not the official file"),
        ],
        ids=["404", "truncated", "other bytes", "nothing"],
    )
    def test_a_failure_leaves_nothing_and_says_which_file_to_put_where(
        self, tmp_path, monkeypatch, fashion, answer, message
    ):
        pages = fashion | {"/t10k-labels-idx1-ubyte.gz": answer}  # the last of the four
        told = self.refused(monkeypatch, pages, tmp_path / "root")
        assert message in told
        assert told.startswith("http://127.0.0.1")
        assert f"put t10k-labels-idx1-ubyte.gz in {tmp_path / 'root' / 'fashion-mnist'}" in told

    def test_no_network(self, tmp_path, monkeypatch):
        change(monkeypatch, "cifar10", downloads=at(refusing(), "cifar10"))
        where = rf"get it elsewhere and put cifar-10-python.tar.gz, unpacked, in {tmp_path / 'root' / 'cifar10'}"
        with pytest.raises(ValueError, match=rf"Connection refused; {where}"):
            fetch_data("cifar10", root=tmp_path / "root")
        assert everything_in(tmp_path) == []

    def cifar(self, tmp_path, monkeypatch, *, leave_out=()):
        """The archive of a tiny CIFAR-10, with more in it than is wanted."""
        write_batches(tmp_path / "published")
        folder = tmp_path / "published" / "cifar10"
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in leave_out]
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for path in paths:
                tar.add(path, path.relative_to(folder).as_posix())
            tar.addfile(tarfile.TarInfo("../../evil"))
            tar.addfile(tarfile.TarInfo("cifar-10-batches-py/readme.html"))
        body = file.getvalue()
        sums = {path.relative_to(folder).as_posix(): md5(path.read_bytes()) for path in paths}
        downloads = (datasets.SOURCES["cifar10"].downloads[0]._replace(md5=md5(body)),)
        change(monkeypatch, "cifar10", md5=sums, downloads=downloads)
        return {"/cifar-10-python.tar.gz": body}

    def test_an_archive_is_unpacked_and_not_kept(self, tmp_path, monkeypatch):
        pages = self.cifar(tmp_path, monkeypatch)
        root = tmp_path / "in" / "root"
        self.fetch(monkeypatch, pages, root, "cifar10")
        published = tmp_path / "published"
        assert everything_in(root) == everything_in(published)
        assert datasets.cifar10(root).checksum == datasets.cifar10(published).checksum
        assert not list(tmp_path.rglob("evil"))

    def test_another_archive_is_refused(self, tmp_path, monkeypatch):
        pages = self.cifar(tmp_path, monkeypatch)
        told = self.refused(
            monkeypatch, {key: body + b"\0" for key, body in pages.items()}, tmp_path / "root", "cifar10"
        )
        assert "is not the official file: md5" in told

    def test_human_labels_without_a_network_name_the_images_too(self, tmp_path, monkeypatch):
        for name in ("cifar10", "cifar10n"):
            change(monkeypatch, name, downloads=at(refusing(), name))
        both = "2 wanted in all: cifar-10-python.tar.gz, CIFAR-10_human.pt"
        with pytest.raises(ValueError, match=f"put cifar-10-python.tar.gz, unpacked, in .*; {both}$"):
            fetch_data("cifar10n", root=tmp_path / "root")

    def test_human_labels_bring_their_images_along(self, tmp_path, monkeypatch):
        pages = self.cifar(tmp_path, monkeypatch)
        labels = datasets.cifar10(tmp_path / "published").train.labels.numpy()
        write_human(tmp_path / "labels.pt", {"clean_label": labels, "worse_label": labels})
        pages["/CIFAR-10_human.pt"] = (tmp_path / "labels.pt").read_bytes()
        with serving(pages) as (address, asked):
            change(monkeypatch, "cifar10", downloads=at(address, "cifar10"))
            change(monkeypatch, "cifar10n", downloads=at(address, "cifar10n"), checks={}, md5={})
            fetch_data("cifar10n", root=tmp_path / "root")
        assert asked == ["/cifar-10-python.tar.gz", "/CIFAR-10_human.pt"]
        assert len(datasets.cifar10n(tmp_path / "root").train.labels) == 15

    def test_what_has_no_checksum_is_told_by_its_contents(self, tmp_path, monkeypatch):
        def original(count):
            rows = [[f"text {row}", f"intent {row % 150:03}"] for row in range(count)]
            return json.dumps({"train": rows, "test": rows[:4500]}).encode()

        told = self.refused(monkeypatch, {"/data_full.json": original(14_999)}, tmp_path / "root", "clinc150")
        assert "has 14,999 texts of 150 intents, expected 100 of each of 150" in told
        self.fetch(monkeypatch, {"/data_full.json": original(15_000)}, tmp_path / "root", "clinc150")
        assert len(clinc150(tmp_path / "root").train.labels) == 15_000
        assert verify_data("clinc150", root=tmp_path / "root").classes == 150

    def test_a_place_that_cannot_be_written(self, tmp_path, monkeypatch, fashion):
        (tmp_path / "root").write_text("a file")
        with pytest.raises(ValueError, match=r"fashion-mnist cannot be written: (File exists|Not a directory)"):
            self.fetch(monkeypatch, fashion, tmp_path / "root")
        assert (tmp_path / "root").read_text() == "a file"

    def test_a_move_that_fails_takes_back_those_before_it(self, tmp_path, monkeypatch, fashion):
        root = tmp_path / "root"
        (root / "fashion-mnist" / "train-images-idx3-ubyte.gz").mkdir(parents=True)  # the third in order
        with pytest.raises(ValueError, match="fashion-mnist cannot be written: Is a directory"):
            self.fetch(monkeypatch, fashion, root)
        assert everything_in(root) == ["fashion-mnist", "fashion-mnist/train-images-idx3-ubyte.gz"]

    def test_no_root_and_nothing_to_fetch(self, tmp_path):
        with pytest.raises(ValueError, match="no data folder: pass root"):
            fetch_data("fashion-mnist")
        with pytest.raises(ValueError, match=r"text-csv has no published files \(one of: cifar10, "):
            fetch_data("text-csv", root=tmp_path)


def test_every_official_address_is_https():
    for source in datasets.SOURCES.values():
        assert all(part.url.startswith("https://") for part in source.downloads)
        fetched = {name for part in source.downloads for name in (part.members or (part.name,))}
        assert fetched <= set(source.md5) | set(source.checks)
