"""What lies in the data folder, whether it is what was published, and how it gets there."""

import contextlib
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from labelnoise import _registry, datasets
from labelnoise.datasets import Source, data_root
from labelnoise.datasets._download import Progress, UnreachableError, download, unpack
from labelnoise.datasets._source import Download, check_contents, md5, verify_file


class DatasetStatus(NamedTuple):
    """One data set, for a list of them."""

    name: str
    what: str
    """Its docstring's first sentence."""
    files: list[Path] | None
    """What would be read; empty where there are no published files, None where some are missing or no root is known."""


class CheckedFile(NamedTuple):
    """One file of a data set that was verified."""

    path: Path
    verdict: str


class Verified(NamedTuple):
    """A data set that is what was published, as far as can be told."""

    name: str
    files: list[CheckedFile]
    train: int
    test: int
    classes: int
    wrong: float
    """Share of the training labels that differ from the true ones."""


def list_data(root: Path | str | None = None) -> list[DatasetStatus]:
    """Every data set there is, and where its files lie under ``root``, by default ``LABELNOISE_DATA``.

    >>> next(status for status in list_data("no/such/folder") if status.name == "digits").files
    []
    """
    return [
        DatasetStatus(name, _what(name), _found(name, root) if name in datasets.SOURCES else [])
        for name in datasets.names()
    ]


def verify_data(name: str, *, root: Path | str | None = None) -> Verified:
    """Load a data set, and compare its files and contents with what was published.

    Files are compared by checksum where their authors published one. Counts, shapes and the frequency of each class
    are compared in any case; CIFAR takes half a minute in Parquet.

    Raises:
        ValueError: an unknown name, one without published files (``digits``, ``text-csv``), files that are missing,
            damaged or other than published.
    """
    source, root = _source(name), data_root(root)
    data = datasets.load(name, root=root)
    check_contents(data, source.expected)
    files = [_checked(path, root / source.folder, source) for path in source.locate(root)]
    wrong = float((data.train.labels != data.true_labels).double().mean())
    return Verified(name, files, len(data.train.labels), len(data.test.labels), len(data.class_names), wrong)


def fetch_data(name: str, *, root: Path | str | None = None) -> list[Path]:
    """Fetch from the official address what is missing of a data set, and return all its files.

    Everything is fetched, compared with its checksum and unpacked beside its place first, then moved there; a failure
    leaves nothing behind.

    Raises:
        ValueError: an unknown name, one that cannot be fetched, no root, or a folder that cannot be written. No
            network, or not the file that was published: the message says which file to put where.
    """
    source, root = _source(name), data_root(root)
    missing = [_source(each) for each in (source.needs, name) if each and _found(each, root) is None]
    for each in missing:
        folder = root / each.folder
        try:
            with tempfile.TemporaryDirectory(prefix=".labelnoise-", dir=_nearest(folder)) as staging:
                for part in each.downloads:
                    _stage(part, each, folder, Path(staging))
                _install(Path(staging) / "ready", folder)
        except UnreachableError as error:
            wanted = [part.name for other in missing for part in other.downloads if not _is_there(part, folder)]
            everything = f"; {len(wanted)} wanted in all: {', '.join(wanted)}" * (len(wanted) > 1)
            raise ValueError(f"{error}{everything}") from None
        except OSError as error:
            raise ValueError(f"{folder} cannot be written: {error.strerror or error}") from None
    return source.locate(root)


def _is_there(part: Download, folder: Path) -> bool:
    return all((folder / name).is_file() for name in part.members or (part.name,))


def _what(name: str) -> str:
    return (datasets.REGISTRY[name].__doc__ or "").partition("\n")[0].replace("``", "")


def _found(name: str, root: Path | str | None) -> list[Path] | None:
    try:
        return datasets.SOURCES[name].locate(data_root(root))
    except ValueError:
        return None


def _source(name: str) -> Source:
    _registry.check_name("data set", name, datasets.REGISTRY)
    if name not in datasets.SOURCES:
        raise ValueError(f"{name} has no published files (one of: {', '.join(sorted(datasets.SOURCES))})")
    return datasets.SOURCES[name]


def _checked(path: Path, folder: Path, source: Source) -> CheckedFile:
    return CheckedFile(path, verify_file(path, path.relative_to(folder).as_posix(), source))


def _nearest(folder: Path) -> Path:
    """The folder itself or the nearest one above it that exists: the same disk, so what is ready moves in one step."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def _stage(part: Download, source: Source, folder: Path, staging: Path) -> None:
    """Fetch one file and lay it, or what is in it, under ``ready`` if it is what was published."""
    names = part.members or (part.name,)
    if _is_there(part, folder):
        for name in names:
            verify_file(folder / name, name, source)
        return
    ready = staging / "ready"
    ready.mkdir(exist_ok=True)
    target = (staging if part.members else ready) / part.name
    what = f"{part.name}, unpacked," if part.members else part.name
    try:
        with _progress_bar(part.name) as progress:
            download(part.url, target, max_bytes=part.max_bytes, progress=progress)
        if part.md5 and (found := md5(target)) != part.md5:
            raise UnreachableError(f"{part.url} is not the official file: md5 {found}, expected {part.md5}")
        if part.members:
            unpack(target, part.members, ready)
            target.unlink()
    except UnreachableError as error:
        raise UnreachableError(f"{error}; get it elsewhere and put {what} in {folder}") from None
    for name in names:
        try:
            verify_file(ready / name, name, source)
        except ValueError as error:
            reason = str(error).replace(str(ready / name), part.url)
            raise UnreachableError(f"{reason}; get it elsewhere and put {what} in {folder}") from None


def _install(ready: Path, folder: Path) -> None:
    """Move all files into their folder, or none."""
    moved: list[Path] = []
    try:
        for path in sorted(path for path in ready.rglob("*") if path.is_file()):
            target = folder / path.relative_to(ready)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            moved.append(target)
    except OSError:
        for path in moved:
            path.unlink()
        raise


@contextlib.contextmanager
def _progress_bar(name: str) -> Generator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
