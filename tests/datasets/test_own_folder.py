import os

import pytest

from labelnoise.datasets._own_folder import images_by_class, images_in, images_named


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


TEN = [f"cat/{row}.png" for row in range(9)] + ["<script>/one.JPEG"]


@pytest.fixture
def folder(tmp_path):
    touch(tmp_path / "data", *TEN)
    return tmp_path / "data"


class TestByClass:
    def test_a_subfolder_is_a_class(self, folder):
        others = ["cat/notes.txt", "cat/.hidden.png", "cat/.git/x.png", ".cache/x.png", "top.png", "README.md"]
        touch(folder, "cat/deep/er/x.webp", *others)
        (folder / "empty").mkdir()
        images, labels = images_by_class(folder)
        assert images.ids == ("<script>/one.JPEG", *TEN[:9], "cat/deep/er/x.webp")
        assert images.paths == tuple(folder / name for name in images.ids)
        assert labels == ("<script>",) + ("cat",) * 10

    def test_what_else_lies_there_is_counted_whatever_its_name(self, folder):
        touch(folder, *[f"cat/{row}.heic" for row in range(3)], "Makefile", ".hidden", "cat/Thumbs.DB", "top.png")
        (folder / os.fsdecode(b"cat/x.\xff")).touch()
        left_out = images_by_class(folder)[0].left_out
        assert left_out.startswith(
            "images beside the subfolders (1), files that are no images by their suffix (.heic 3, "
        )
        assert set(left_out.partition(".heic 3, ")[2][:-1].split(", ")) == {"no suffix 1", ".db 1", ".\ufffd 1"}
        touch(folder, "1.a", "2.b", "3.c")
        assert images_in(folder).left_out.endswith(" ..)")

    def test_the_order_is_that_of_the_paths(self, tmp_path):
        names = ["b/2.png", "b/10.png", "a-b/x.png", "a/z/1.png", "a/Z.png", "a/y.png", "ä/1.png", "B/1.png", *TEN]
        touch(tmp_path, *names)
        assert images_by_class(tmp_path, few=True)[0].ids == tuple(sorted(names))

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["a.png"] * 1, "must have at least two subfolders of images, one a class, got none"),
            ([f"a/{row}.png" for row in range(10)], "at least two subfolders of images, one a class, got only 'a'"),
            (TEN[1:], "must have at least 10 images in its subfolders, got 9"),
            (
                [f"{row % 3}/{row}.png" for row in range(14)],
                "must have 5 images a subfolder on average, .* got 14 in 3",
            ),
            (
                [f"{split}/{kind}/{row}.png" for split in ("Train", "val") for kind in "ab" for row in range(5)],
                r"must hold classes, one a subfolder, got the splits 'Train' and 'val': name one, .*/Train",
            ),
            (["a/x.txt"], r"must hold images \(.png, .jpg, .*\), got none"),
        ],
    )
    def test_too_little(self, tmp_path, names, message):
        touch(tmp_path, *names)
        with pytest.raises(ValueError, match=message):
            images_by_class(tmp_path)

    def test_classes_may_be_called_like_splits(self, tmp_path):
        touch(tmp_path, *[f"{kind}/{row}.png" for kind in ("test", "train") for row in range(5)])
        assert set(images_by_class(tmp_path)[1]) == {"test", "train"}


class TestWalking:
    def test_everything_without_classes(self, folder):
        touch(folder, "top.gif", "a/b/c.tiff")
        assert images_in(folder).ids == tuple(sorted([*TEN, "top.gif", "a/b/c.tiff"]))

    def test_links_within_the_folder_are_followed(self, folder):
        (folder / "dog").mkdir()
        (folder / "dog" / "linked.png").symlink_to("../cat/0.png")
        (folder / "twin").symlink_to("cat")
        images, labels = images_by_class(folder)
        assert labels.count("twin") == 9
        assert "dog/linked.png" in images.ids

    @pytest.mark.parametrize("name", ["secret.png", "secret"])
    def test_links_that_lead_out(self, folder, name):
        touch(folder.parent, "secret.png", "secret/x.png")
        (folder / "cat" / "link.png").symlink_to(folder.parent / name)
        with pytest.raises(ValueError, match=r"link.png is a link that leads out of .*data"):
            images_in(folder)

    @pytest.mark.parametrize("links", [{"cat/loop": ".."}, {"cat/loop": "."}, {"cat/x": "../a", "a/y": "../cat"}])
    def test_links_in_a_circle(self, folder, links):
        touch(folder, "a/1.png")
        for name, target in links.items():
            (folder / name).symlink_to(target)
        with pytest.raises(ValueError, match="is a link that leads in a circle"):
            images_in(folder)

    def test_links_to_nothing_or_to_themselves(self, folder):
        (folder / "cat" / "gone.png").symlink_to("gone.txt")
        with pytest.raises(ValueError, match=r"gone.png must be a file, got something else, or a link"):
            images_in(folder)
        (folder / "cat" / "gone.png").unlink()
        (folder / "cat" / "self.png").symlink_to("self.png")
        with pytest.raises(ValueError, match=r"self.png"):
            images_in(folder)

    def test_a_folder_that_is_itself_a_link(self, folder):
        folder.with_name("link").symlink_to("data")
        images = images_in(folder.with_name("link"))
        assert images.ids == images_in(folder).ids
        assert images.paths[0].parent.parent == folder.with_name("link")

    def test_what_only_looks_like_an_image(self, folder):
        os.mkfifo(folder / "cat" / "pipe.png")
        with pytest.raises(ValueError, match=r"pipe.png must be a file, got something else"):
            images_in(folder)
        (folder / "cat" / "pipe.png").unlink()
        touch(folder, "cat/folder.png/inner.png")
        assert "cat/folder.png/inner.png" in images_in(folder).ids

    def test_names_that_are_no_text(self, folder):
        touch(folder, os.fsdecode(b"cat/\xff.png"))
        with pytest.raises(ValueError, match=r"must hold images with names in UTF-8, got 'cat/\\udcff.png'"):
            images_in(folder)


class TestNamed:
    def test_paths_from_the_root(self, folder):
        (folder / "link.png").symlink_to("cat/0.png")
        images = images_named(folder / "t.csv", ["cat/0.png", "./cat//1.png", "link.png", "cat/0.png"], root=folder)
        assert images.ids == ("cat/0.png", "cat/1.png", "link.png", "cat/0.png")
        assert images.paths == tuple(folder / name for name in images.ids)

    @pytest.mark.parametrize(
        ("cell", "message"),
        [
            (
                "../data/cat/0.png",
                "must name relative paths that stay in .*data, got '../data/cat/0.png' in row 1, counted from 0",
            ),
            ("cat/../cat/0.png", "must name relative paths that stay in"),
            ("../secret.png", "must name relative paths that stay in"),
            ("{root}/cat/0.png", "must name relative paths that stay in"),
            ("/etc/passwd", "must name relative paths that stay in"),
            ("out.png", "must name relative paths that stay in .*, got 'out.png' in row 1"),
            ("away/x.png", "must name relative paths that stay in .*, got 'away/x.png' in row 1"),
            (
                "cat/99.png",
                r"must name an image file \(.png, .*\) in .*data, got 'cat/99.png' in row 1, counted from 0",
            ),
            ("", "must name an image file .* got '.' in row 1"),
            ("cat", "must name an image file"),
            ("notes.txt", "must name an image file"),
            ("gone.png", "must name an image file"),
            ("self.png", "must name an image file"),
            ("a\0b.png", r"must name an image file .* got 'a\\x00b.png' in row 1"),
            ("x" * 5000 + ".png", "must name an image file"),
        ],
    )
    def test_paths_that_lead_elsewhere(self, folder, cell, message):
        touch(folder, "notes.txt")
        touch(folder.parent, "secret.png", "away/x.png")
        for name, target in {
            "out.png": "../secret.png",
            "away": "../away",
            "gone.png": "x",
            "self.png": "self.png",
        }.items():
            (folder / name).symlink_to(target)
        with pytest.raises(ValueError, match=message) as raised:
            images_named(folder / "t.csv", ["cat/0.png", cell.replace("{root}", str(folder))], root=folder)
        assert "\n" not in str(raised.value)
