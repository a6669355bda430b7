"""The folder of a fit: the only code that knows what lies where in it.

plan.json            settings and plan, written before the start
work/                decoded images, and of each training its checkpoint or result; gone when all is done
model.safetensors    the weights that are kept
config.json          what a prediction needs beside them
labels.csv           a row a sample: is its label wrong?
summary.json         how many are
source.json          where the data lie, for ``labelnoise review``
report.html          all of it for people
metrics.json         how good the model is; written last: a folder that has it is finished
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from labelnoise import _files

_PLAN, _FINISHED = "plan.json", "metrics.json"


class FitFolder:
    """One fit's files, each whole or absent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.path / _FINISHED).exists()

    def open(self, settings: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
        """Make the folder ready for a fit of these settings; returns the plan of one that has been begun.

        Raises:
            ValueError: a folder that cannot be written, or that holds something else and is not to be overwritten.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.path).close()
        except OSError as error:
            raise ValueError(f"out must be a folder that can be written, got {self.path}: {error.strerror}") from None
        settings = json.loads(json.dumps(settings))
        begun = self._read_plan()
        if begun is not None and begun["settings"] == settings:
            return begun["plan"]
        if begun is None and any(self.path.iterdir()):
            raise ValueError(f"out must be a new folder or one of a fit, got {self.path}, which holds something else")
        if begun is not None:
            if not overwrite:
                different = ", ".join(sorted(key for key in settings if settings[key] != begun["settings"].get(key)))
                raise ValueError(
                    f"{self.path} holds a fit with other settings ({different or 'of another version'}); "
                    "give another folder, or overwrite it (--overwrite)"
                )
            self._empty()
        self.work.mkdir(exist_ok=True)
        return None

    def begin(self, settings: dict[str, Any], plan: dict[str, Any]) -> None:
        """Write down what is going to be done."""
        self.write_json(_PLAN, {"settings": settings, "plan": plan})

    def finish(self, metrics: dict[str, Any]) -> None:
        """Mark the end, and drop what was only needed on the way."""
        self.write_json(_FINISHED, metrics)
        shutil.rmtree(self.work, ignore_errors=True)

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
            return self.read_json(_PLAN)
        except FileNotFoundError:
            return None
        except ValueError:
            raise ValueError(f"{self.path / _PLAN} is damaged; remove {self.path} to start anew") from None

    def _empty(self) -> None:
        """The end first, so that a kill leaves a fit that is not finished; nothing but what a fit writes."""
        (self.path / _FINISHED).unlink(missing_ok=True)
        shutil.rmtree(self.work, ignore_errors=True)
        (self.path / _PLAN).unlink()
