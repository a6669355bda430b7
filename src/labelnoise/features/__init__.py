"""Raw data as numbers, by what is fitted on the training split. To add one, write a file, a test and its lines."""

from collections.abc import Callable
from typing import Any

from labelnoise import _registry
from labelnoise.features.lsa import Lsa
from labelnoise.features.standard import Standard
from labelnoise.features.table import TableFeatures
from labelnoise.features.tfidf import Tfidf
from labelnoise.features.tokens import Tokens

__all__ = ["Lsa", "Standard", "TableFeatures", "Tfidf", "Tokens", "build"]

REGISTRY: dict[str, Callable[..., Lsa | Tfidf]] = {"lsa": Lsa, "tfidf": Tfidf}


def build(name: str, **settings: Any) -> Lsa | Tfidf:
    """The features registered under ``name``, not fitted yet."""
    return _registry.build("features", REGISTRY, name, settings)
