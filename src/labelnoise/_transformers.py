"""Hugging Face's transformers, an extra, without what it says to users of its own."""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def reading(folder: Path, wanted: str) -> Generator[Any]:
    """The package, to make what is ``wanted`` of a folder: without log messages, warnings and progress bars.

    Raises:
        ValueError: transformers is not installed; or, in one line, whatever the block raised.
    """
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                transformers: Any = importlib.import_module("transformers")  # here, since it costs seconds
            except ImportError:
                raise ValueError(f"a {wanted} needs transformers: pip install 'labelnoise[hf]'") from None
            bars = transformers.utils.logging.is_progress_bar_enabled()
            transformers.utils.logging.disable_progress_bar()
            try:
                yield transformers
            except Exception as error:  # whatever a folder of others can cause
                cause = f"{type(error).__name__}: {error}".splitlines()[0]
                raise ValueError(f"{folder} holds no {wanted} that can be used: {cause}") from None
            finally:
                if bars:
                    transformers.utils.logging.enable_progress_bar()
    finally:
        logging.disable(disabled)
