"""Raw data as numbers, by what is fitted on the training split. To add one, write a file, a test and its lines."""

from collections.abc import Callable
from typing import Any

from labelnoise import _registry
from labelnoise._types import SparseRows
from labelnoise.features.lsa import Lsa
from labelnoise.features.standard import Standard
from labelnoise.features.table import TableFeatures
from labelnoise.features.tfidf import Tfidf
from labelnoise.features.tokens import Tokens

__all__ = ["Lsa", "SparseRows", "Standard", "TableFeatures", "Tfidf", "Tokens", "build"]

REGISTRY: dict[str, Callable[..., Lsa | Tfidf]] = {"lsa": Lsa, "tfidf": Tfidf}


def build(name: str, **settings: Any) -> Lsa | Tfidf:
    """``"tfidf"`` or ``"lsa"``, as a recipe of texts names them, not fitted yet.

    Raises:
        ValueError: an unknown name or setting, or one out of range.

    >>> build("tfidf", max_terms=100).fit(["a red car", "a red bus"]).transform(["red"]).shape
    torch.Size([1, 1])
    """
    return _registry.build("features", REGISTRY, name, settings)
