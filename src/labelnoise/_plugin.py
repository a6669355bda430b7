"""A name of the user's own code, ``FILE.py:name`` or ``module:name``, given on the command line and nowhere else."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Plugin(NamedTuple):
    """What a name stands for."""

    value: Any
    sha256: str
    """Of the source file, so that a run knows which code it used."""


def is_plugin(name: str) -> bool:
    """Whether a name is one of the user's, not of ours.

    >>> is_plugin("mine.py:Loss"), is_plugin("gce")
    (True, False)
    """
    return ":" in name


def load_plugin(name: str) -> Plugin:
    """Import the file or module and look the name up.

    Raises:
        ValueError: no such file, module or name, or code that fails on import.

    >>> load_plugin("math:sqrt").value(4)
    Traceback (most recent call last):
    ValueError: math must be a module with a source file, got one without
    >>> load_plugin("fractions:Fraction").value(1, 2)
    Fraction(1, 2)
    """
    source, _, wanted = name.rpartition(":")
    try:
        if source.endswith(".py"):
            spec = importlib.util.spec_from_file_location(str(Path(source).absolute()), source)
            assert spec is not None
            assert spec.loader is not None
            # Where dataclasses look for it; under its path, which is the name of no other module.
            module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(source)
    except (Exception, SystemExit) as error:  # it is the user's code
        reason = " ".join(str(error).split())
        raise ValueError(f"{source} cannot be imported: {type(error).__name__}: {reason}") from None
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        raise ValueError(f"{source} must be a module with a source file, got one without")
    if not hasattr(module, wanted):
        raise ValueError(f"{source} must define {wanted!r}, which it does not")
    return Plugin(getattr(module, wanted), hashlib.sha256(Path(file).read_bytes()).hexdigest())
