"""Files from the network to the disk, whole or not at all."""

import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come so far, and with how many there will be, where the server says so."""

_TIMEOUT = 30  # seconds without a byte
_CHUNK = 2**16


class UnreachableError(ValueError):
    """The file did not come; elsewhere, or later, the same address may well work."""


def download(url: str, target: Path, *, max_bytes: int, progress: Progress) -> None:
    """Write what lies at ``url`` to ``target``.

    Raises:
        UnreachableError: no connection, an error from the server, fewer bytes than it announced, or too many.
        ValueError: ``target`` cannot be written.
    """
    try:
        with target.open("wb") as file:
            for chunk in _chunks(url, max_bytes=max_bytes, progress=progress):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ValueError(f"{target} cannot be written: {error.strerror or error}") from None


def _chunks(url: str, *, max_bytes: int, progress: Progress) -> Iterator[bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": "labelnoise"})
    done = 0
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            if urllib.parse.urlsplit(response.url).scheme != urllib.parse.urlsplit(url).scheme:
                raise UnreachableError(f"{url} leads to {response.url}, which is not as safe")
            announced = response.headers.get("Content-Length", "")
            total = int(announced) if announced.isdecimal() else None
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if done > max_bytes:
                    raise UnreachableError(f"{url} sends more than the {max_bytes:,} bytes there may be")
                progress(done, total)
                yield chunk
    except urllib.error.HTTPError as error:
        error.close()
        reason = " ".join(str(error.reason).split())
        raise UnreachableError(f"{url} cannot be fetched: the server says {error.code} {reason}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise UnreachableError(f"{url} cannot be fetched: {reason}") from None
    if total is not None and done < total:
        raise UnreachableError(f"{url} broke off after {done:,} of {total:,} bytes")


def unpack(archive: Path, members: tuple[str, ...], folder: Path) -> None:
    """Write ``members`` of a tar archive, and nothing else, to ``folder``.

    Raises:
        ValueError: the archive is damaged or lacks one of them, or ``folder`` cannot be written.
    """
    wanted = set(members)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() and member.name in wanted else None
                if content is None:
                    continue
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                    file.flush()
                    os.fsync(file.fileno())
                wanted.discard(member.name)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{archive.name} cannot be unpacked: {error}") from None
    if wanted:
        raise ValueError(f"{archive.name} lacks {', '.join(sorted(wanted))}")
