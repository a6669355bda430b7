"""The folder of a fit: what lies in it, who may work there, and until when results are kept.

plan.json            the settings, written first, and the plan, before anything is trained; of a fit that is about to be
                     overwritten, the settings of the next one beside its own
work/                decoded images, and of each training its checkpoint or result; gone when all is done
model.safetensors    the weights that are kept
config.json          what a prediction needs beside them
encoder/             of a pretrained text encoder, its tokenizer and settings
labels.csv           a row a sample: is its label wrong?
summary.json         how many are
source.json          where the data lie, for ``labelnoise review``
report.html          all of it for people
metrics.json         how good the model is; written last: a folder that has it is finished
decisions.csv, sample.csv, sample.json: of ``labelnoise review``, put aside where a fit to other data takes the folder
.lock                held by the process that works here; an empty file, which stays
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from labelnoise import _files

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

_PLAN, _FINISHED, _LOCK = "plan.json", "metrics.json", ".lock"
_REVIEW = ("decisions.csv", "sample.csv", "sample.json")
_RESULTS = ("report.html", "labels.csv", "summary.json", "source.json", "config.json", "model.safetensors")


class FitFolder:
    """One fit's files, each whole or absent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"

    @property
    def is_begun(self) -> bool:
        """Whether a fit has taken the folder."""
        return (self.path / _PLAN).exists()

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        begun = self._read_plan()
        is_planned = begun is not None and begun["plan"] is not None and begun["next"] is None
        return is_planned and (self.path / _FINISHED).exists()

    @contextlib.contextmanager
    def open(self, settings: dict[str, Any], *, overwrite: bool) -> Generator[dict[str, Any] | None]:
        """Hold the folder, ready for a fit of these settings; gives the plan of one that has been begun.

        Raises:
            ValueError: a folder that cannot be written, that another process holds, or that holds something else and
                is not to be overwritten.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.path).close()
        except OSError as error:
            raise ValueError(f"out must be a folder that can be written, got {self.path}: {error.strerror}") from None
        names = {entry.name for entry in self.path.iterdir()}
        if _PLAN not in names and names - {_LOCK}:
            raise ValueError(f"out must be a new folder or one of a fit, got {self.path}, which holds something else")
        with self._locked():
            yield self._ready(json.loads(json.dumps(settings)), overwrite=overwrite)

    def _ready(self, settings: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
        """Make room for a fit of these settings."""
        begun = self._read_plan()
        new: dict[str, Any] = {"settings": settings, "plan": None}
        held = new if begun is None or begun["plan"] is None else begun  # what is not to be lost
        at_work = begun and (begun["next"] or begun["settings"])  # whose files lie in work/
        if at_work != settings:
            if held["settings"] != settings and not overwrite:
                different = ", ".join(sorted(key for key in settings if settings[key] != held["settings"].get(key)))
                raise ValueError(
                    f"{self.path} holds a fit with other settings ({different or 'of another version'}); "
                    "give another folder, or overwrite it (--overwrite)"
                )
            self._drop_work()
            # From here on the folder and its work are known as ours, wherever an error or a kill comes.
            self.write_json(_PLAN, held | {"next": None if held["settings"] == settings else settings})
        if self.is_finished:
            self._drop_work()
        else:
            self.work.mkdir(exist_ok=True)
        return held["plan"] if held["settings"] == settings else None

    def begin(self, settings: dict[str, Any], plan: dict[str, Any]) -> None:
        """Write down what is going to be done; results of a fit that is overwritten stay until then."""
        for name in (_FINISHED, *_RESULTS):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "encoder", ignore_errors=True)
        begun = self._read_plan()
        if begun is not None and begun["settings"].get("data") != settings.get("data"):
            for name in _REVIEW:  # decisions on other data; somebody's work, so it stays
                with contextlib.suppress(FileNotFoundError):
                    (self.path / name).rename(self.path / f"{name}.of-other-data")
        self.write_json(_PLAN, {"settings": settings, "plan": plan})

    def finish(self, metrics: dict[str, Any]) -> None:
        """Mark the end, and drop what was only needed on the way."""
        self.write_json(_FINISHED, metrics)
        self._drop_work()

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Put ``content`` into a file."""
        self.write(name, json.dumps(content, indent=2) + "\n")

    def write(self, name: str, text: str) -> None:
        """Put ``text`` into a file."""
        with _files.replacing(self.path / name) as file:
            file.write(text.encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """What :meth:`write_json` wrote."""
        return json.loads((self.path / name).read_text())

    def _read_plan(self) -> dict[str, Any] | None:
        try:
            begun = self.read_json(_PLAN)
            return {"settings": dict(begun["settings"]), "plan": begun["plan"], "next": begun.get("next")}
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{self.path / _PLAN} is no plan of a fit; give another folder, or remove it") from None

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        """Alone in the folder; the system lets go of it with the process, however that ends."""
        with (self.path / _LOCK).open("a") as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ValueError(
                        f"another fit is at work in {self.path}; wait until it is done, or give another folder"
                    ) from None
                except OSError:  # a file system without locks
                    pass
            yield

    def _drop_work(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
