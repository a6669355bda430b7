"""Texts as TF-IDF rows, which stay sparse until a mini-batch is taken from them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from labelnoise._types import SparseRows

# As scikit-learn words of two letters or more, but Chinese and Japanese, which put no blanks between theirs.
_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TERM = rf"[{_CHARACTER}]|[^\W{_CHARACTER}]{{2,}}"


class Tfidf:
    """Words and sequences of words, weighed by scikit-learn's TF-IDF with sublinear counts; rows have length one.

    A word has two letters or more; Chinese and Japanese, written without blanks, are taken character by character.

    Args:
        ngrams: words of the longest sequence that is a term.
        min_count: a term that fewer texts have is left out.
        max_terms: so many of the most frequent terms at most.

    Example:
        >>> tfidf = Tfidf(min_count=1).fit(["a red car", "a blue car", "a red house"])
        >>> tfidf.transform(["red house", "unknown words"]).shape
        torch.Size([2, 4])

    Raises:
        ValueError: a setting below 1; texts in which no term occurs often enough.
    """

    def __init__(self, *, ngrams: int = 1, min_count: int = 2, max_terms: int = 50_000) -> None:
        self.settings = {"ngrams": ngrams, "min_count": min_count, "max_terms": max_terms}
        for name, setting in self.settings.items():
            if setting < 1:
                raise ValueError(f"{name} must be at least 1, got {setting}")
        self._vectorizer = TfidfVectorizer(
            token_pattern=_TERM,
            ngram_range=(1, ngrams),
            min_df=min_count,
            max_features=max_terms,
            sublinear_tf=True,
            dtype=np.float32,  # pyright: ignore[reportArgumentType] (the stubs know the default only)
        )

    def fit(self, texts: Sequence[str]) -> "Tfidf":
        """Learn the terms and their weights, from training texts only."""
        try:
            self._vectorizer.fit(texts)
        except ValueError as error:  # in scikit-learn's own words, about settings of other names
            shared = f"a term that {self.settings['min_count']} of them share"
            raise ValueError(f"texts must have {shared}, got {len(texts):,} without one") from error
        return self

    def matrix(self, texts: Sequence[str]) -> Any:
        """One row a text, as a SciPy matrix; terms that were not learned are ignored."""
        return self._vectorizer.transform(texts)

    def transform(self, texts: Sequence[str]) -> SparseRows:
        """One row a text; terms that were not learned are ignored."""
        matrix = self.matrix(texts)
        starts, column = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
        return SparseRows(starts, column, torch.from_numpy(matrix.data), columns=matrix.shape[1])

    def state(self) -> dict[str, Any]:
        """Everything :meth:`from_state` needs, as plain JSON."""
        vocabulary = {term: int(column) for term, column in self._vectorizer.vocabulary_.items()}
        return {"settings": self.settings, "vocabulary": vocabulary, "idf": self._vectorizer.idf_.tolist()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Tfidf":
        """The transform that :meth:`state` was taken from."""
        tfidf = cls(**state["settings"])
        tfidf._vectorizer.vocabulary_ = state["vocabulary"]
        tfidf._vectorizer.idf_ = np.array(state["idf"], dtype=np.float32)
        return tfidf
