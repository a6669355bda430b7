"""The export list is the registry: what a package exports can be named on the command line and built."""

import difflib
import inspect
import re
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def check_name(kind: str, name: str, known: Iterable[str]) -> None:
    """Raise a ``ValueError`` that suggests the nearest of ``known`` where ``name`` is none of them."""
    known = sorted(known)
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown {kind} {name!r}{hint} (one of: {', '.join(known)})")


def build(kind: str, registry: Mapping[str, Callable[..., T]], name: str, settings: Mapping[str, Any]) -> T:
    """Call the factory registered under ``name``, after its settings have been checked."""
    settings = resolve(kind, registry, name, settings)
    return registry[name](**settings)


def resolve(
    kind: str,
    registry: Mapping[str, Callable[..., Any]],
    name: str,
    settings: Mapping[str, Any],
    *,
    supplied: Container[str] = (),
) -> dict[str, Any]:
    """``settings`` with the defaults of what they leave out, checked by name: a default may change, a result may not.

    ``supplied`` are parameters that the caller fills in: nobody sets them, and nobody has to.

    >>> def power(base, exponent=2): ...
    >>> resolve("function", {"power": power}, "power", {}, supplied=["base"])
    {'exponent': 2}
    >>> resolve("function", {"power": power}, "power", {})
    Traceback (most recent call last):
    ValueError: function power needs a setting 'base'
    """
    check_name(kind, name, registry)
    parameters = {
        setting: parameter.default
        for setting, parameter in inspect.signature(registry[name]).parameters.items()
        if setting not in supplied
    }
    for setting in settings:
        check_name(f"setting of {name}", setting, parameters)
    for setting, default in parameters.items():
        if default is inspect.Parameter.empty and setting not in settings:
            raise ValueError(f"{kind} {name} needs a setting {setting!r}")
    plain = {
        setting: value for setting, value in parameters.items() if isinstance(value, bool | int | float | str | tuple)
    }
    return {**plain, **settings}


def exported_classes(namespace: Mapping[str, Any], exports: Iterable[str], *, suffix: str) -> dict[str, Any]:
    """The exported classes by command-line name: with suffix ``Loss``, ``TruncatedGCELoss`` is ``truncated_gce``."""
    classes = [namespace[name] for name in exports if inspect.isclass(namespace.get(name))]
    return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__.removesuffix(suffix)).lower(): cls for cls in classes}
