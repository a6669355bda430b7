import json

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from labelnoise import features
from labelnoise.features import Tfidf

TEXTS = ["the red car", "a blue car in the rain", "rain and rain", "", "red red rain"]


def test_rows_are_scikit_learns():
    tfidf = features.build("tfidf", ngrams=2, min_count=1).fit(TEXTS)
    reference = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32).fit_transform(TEXTS).toarray()
    rows = tfidf.transform(TEXTS)
    positions = torch.tensor([4, 0, 3, 0])
    assert np.array_equal(rows[positions].numpy(), reference[positions.numpy()])
    assert np.array_equal(rows.take(positions)[torch.arange(4)].numpy(), reference[positions.numpy()])
    assert rows[torch.tensor([], dtype=torch.int64)].shape == (0, reference.shape[1])


def test_the_state_is_json_and_gives_the_same_rows():
    tfidf = Tfidf(ngrams=2, min_count=1).fit(TEXTS)
    again = Tfidf.from_state(json.loads(json.dumps(tfidf.state())))
    everything = torch.arange(2)
    texts = ["red rain", "something the model never saw"]
    assert torch.equal(tfidf.transform(texts)[everything], again.transform(texts)[everything])


def test_at_most_so_many_terms():
    assert Tfidf(min_count=1, max_terms=2).fit(TEXTS).transform(["red"])[torch.arange(1)].shape == (1, 2)


def test_texts_without_a_common_word_are_refused():
    for texts in (["one", "two"], ["one"], ["", "?"]):
        with pytest.raises(
            ValueError, match=f"texts must have a term that 2 of them share, got {len(texts)} without one"
        ):
            Tfidf(min_count=2).fit(texts)


@pytest.mark.parametrize("setting", ["ngrams", "min_count", "max_terms"])
def test_a_setting_below_one_is_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} must be at least 1, got 0"):
        Tfidf(**{setting: 0})


def test_chinese_and_japanese_are_read_by_the_character():
    tfidf = Tfidf(min_count=1).fit(["很好 abc很d", "ありがとう café x"])
    assert set(tfidf.state()["vocabulary"]) == {"很", "好", "abc", "あ", "り", "が", "と", "う", "café"}


def test_the_terms_of_other_texts_are_scikit_learns():
    texts = ["It's a_b 12 naïve Ünïcode привет x y1", "한국어 단어 ελληνικά — don't"]
    assert set(Tfidf(min_count=1).fit(texts).state()["vocabulary"]) == set(TfidfVectorizer().fit(texts).vocabulary_)
