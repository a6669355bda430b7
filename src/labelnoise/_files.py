"""Files that are whole or absent: written beside their place, flushed to disk, then moved there in one step."""

import contextlib
import os
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends, and leaves nothing behind when it fails.

    Of a link, the file it leads to is replaced. A pipe or a device, such as ``/dev/stdout``, is written to as it is.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(beside)):
            error.filename = str(path)  # of a full disk no name is known, of a folder that is not writable the other
        raise
