"""Image files of the user's own: found in a folder, or named by a table; never outside of where they belong."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif", ".tif", ".tiff")
_MIN_IMAGES = 10
_KINDS_TOLD = 5
_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
_IMAGES_A_CLASS = 5  # on average, as of a table's labels: else the subfolders are something else than classes


class ImageFiles(NamedTuple):
    """Where images lie, and what they are called."""

    paths: tuple[Path, ...]
    ids: tuple[str, ...]
    """The path from the folder they belong to, with ``/`` between its parts."""
    left_out: str = ""
    """In words, what else lies there."""


def images_in(folder: Path) -> ImageFiles:
    """The image files of a folder by their suffix, however deep, sorted by path; of hidden files not a word.

    Raises:
        ValueError: no images; a link that leads out of the folder, in a circle or nowhere; a name that is not UTF-8.
    """
    try:
        # Sorted by code points, so that the order is the same everywhere.
        files = sorted((path.relative_to(folder).as_posix(), path) for path in _walked(folder))
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}") from None
    found = [(name, path) for name, path in files if _is_image(path)]
    if not found:
        raise ValueError(f"{folder} must hold images ({', '.join(_SUFFIXES)}), got none")
    ids, paths = zip(*found, strict=True)
    for name in ids:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{folder} must hold images with names in UTF-8, got {name!r}") from None
    others = Counter(path.suffix.lower() or "no suffix" for _, path in files if not _is_image(path))
    kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in others.most_common(_KINDS_TOLD))
    more = " .." if len(others) > _KINDS_TOLD else ""
    left_out = f"files that are no images by their suffix ({kinds}{more})" if others else ""
    return ImageFiles(paths, ids, os.fsencode(left_out).decode(errors="replace"))


def images_by_class(folder: Path, *, few: bool = False) -> tuple[ImageFiles, tuple[str, ...]]:
    """The images in the subfolders of a folder, and as labels the subfolders' names; images beside these are left out.

    Raises:
        ValueError: what :func:`images_in` refuses; subfolders that are the splits of a data set, its classes in each;
            images in fewer than two subfolders, fewer than ten in all, or fewer than five a subfolder.
    """
    paths, ids, left_out = images_in(folder)
    inner = [row for row, name in enumerate(ids) if "/" in name]
    labels = tuple(ids[row].partition("/")[0] for row in inner)
    classes = sorted(set(labels))
    if classes and {name.lower() for name in classes} <= _SPLITS and all(ids[row].count("/") > 1 for row in inner):
        got = " and ".join(map(repr, classes))
        raise ValueError(
            f"{folder} must hold classes, one a subfolder, got the splits {got}: name one, {folder / classes[0]}"
        )
    if len(classes) < 2 - few:
        got = f"only {classes[0]!r}" if classes else "none"
        raise ValueError(f"{folder} must have at least two subfolders of images, one a class, got {got}")
    if len(labels) < _MIN_IMAGES and not few:
        raise ValueError(f"{folder} must have at least {_MIN_IMAGES} images in its subfolders, got {len(labels)}")
    if len(classes) * _IMAGES_A_CLASS > len(labels) and not few:
        got = f"{len(labels)} in {len(classes)}"
        raise ValueError(f"{folder} must have {_IMAGES_A_CLASS} images a subfolder on average, one a class, got {got}")
    if len(inner) < len(ids):
        beside = f"images beside the subfolders ({len(ids) - len(inner):,})"
        left_out = f"{beside}, {left_out}" if left_out else beside
    return ImageFiles(tuple(paths[row] for row in inner), tuple(ids[row] for row in inner), left_out), labels


def images_named(table: Path, cells: Sequence[str], *, root: Path) -> ImageFiles:
    """The image files that a column of ``table`` names by their paths from ``root``.

    Raises:
        ValueError: a path that leads out of ``root``, also by a link, or to no image; its row is named.
    """
    names = [Path(cell) for cell in cells]
    inside = root.resolve()
    for row, name in enumerate(names):
        path = root / name
        try:
            within = ".." not in name.parts and path.resolve().is_relative_to(inside) and not name.is_absolute()
            found = within and _is_image(path) and path.is_file()
        except (OSError, RuntimeError, ValueError):  # too long, links in a circle, a NUL
            within, found = True, False
        if not found:
            wanted = f"an image file ({', '.join(_SUFFIXES)})" if within else "relative paths that stay"
            got = f"{str(name)[:100]!r} in row {row}, counted from 0"
            raise ValueError(f"{table} must name {wanted} in the root folder {root}, got {got}")
    return ImageFiles(tuple(root / name for name in names), tuple(name.as_posix() for name in names))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES


def _walked(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    waiting: list[tuple[Path, tuple[Path, ...]]] = [(folder, (root,))]
    while waiting:
        here, above = waiting.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                path, is_folder = here / entry.name, entry.is_dir()
                if entry.name.startswith("."):
                    continue
                if not is_folder and not _is_image(path):
                    yield path
                    continue
                real = path.resolve() if is_folder or entry.is_symlink() else path
                if entry.is_symlink() and not real.is_relative_to(root):
                    raise ValueError(f"{path} is a link that leads out of {folder}")
                if is_folder and real in above:
                    raise ValueError(f"{path} is a link that leads in a circle")
                if is_folder:
                    waiting.append((path, (*above, real)))
                elif entry.is_file():
                    yield path
                else:
                    raise ValueError(f"{path} must be a file, got something else, or a link that leads nowhere")
