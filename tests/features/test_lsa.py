import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from labelnoise import features

WORDS = ["red", "blue", "car", "house", "rain", "sun", "tree", "bird"]
TEXTS = [" ".join(np.random.default_rng(seed).choice(WORDS, 5)) for seed in range(60)]


def test_cosines_between_rows_are_those_of_the_projected_tfidf():
    rows = features.build("lsa", components=4, min_count=1).fit(TEXTS).transform(TEXTS)
    tfidf = TfidfVectorizer(sublinear_tf=True).fit_transform(TEXTS)
    reference = TruncatedSVD(4, random_state=0).fit_transform(tfidf)
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    unit = torch.nn.functional.normalize(rows.double())
    # float32 sums of a few dozen terms, and a randomised solver on eight columns: 1e-5 is generous for both.
    np.testing.assert_allclose(unit @ unit.T, reference @ reference.T, atol=1e-5)
    assert rows.dtype == torch.float32
    assert rows.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_unseen_words_make_a_row_of_zeros():
    lsa = features.build("lsa", components=4, min_count=1).fit(TEXTS)
    assert not lsa.transform(["something else"]).any()


@pytest.mark.parametrize(("components", "texts", "most"), [(9, 60, 8), (5, 4, 4), (1, 60, 8)])
def test_components_that_cannot_be_had_are_refused(components, texts, most):
    message = f"components must be from 2 to {most}, of {texts} texts with 8 terms, got {components}"
    with pytest.raises(ValueError, match=message):
        features.build("lsa", components=components, min_count=1).fit(TEXTS[:texts])
