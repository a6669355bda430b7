import json

import numpy as np
import pytest
import torch
from noisy_data import KINDS, Noisy, read, write_csv

from labelnoise._types import SparseRows
from labelnoise.datasets._own import Columns, read_own
from labelnoise.fitting.transform import Pictures, fit_transform, load_transform


def dense(inputs):
    return inputs[torch.arange(len(inputs))] if isinstance(inputs, SparseRows) else inputs


@pytest.mark.parametrize("kind", KINDS)
def test_a_transform_that_went_through_json_gives_the_same_numbers(tmp_path, kind):
    own, columns, size = read(KINDS[kind](tmp_path))
    transform = fit_transform(own, columns, torch.arange(0, len(own.ids), 2), image_size=size, encoder=None)
    again = load_transform(own.kind, json.loads(json.dumps(transform.state())))
    first, second = dense(transform.transform(own.inputs)), dense(again.transform(own.inputs))
    assert len(first) == len(own.ids)
    assert torch.equal(first, second)


def test_only_the_rows_it_is_fitted_on_count(tmp_path):
    rows = [(x, "a" if x < 10 else "b") for x in range(20)]
    own, columns, _ = read(Noisy(write_csv(tmp_path / "t.csv", ("x", "label"), rows), {"label": "label"}, None, None))
    transform = fit_transform(own, columns, torch.arange(10), image_size=None, encoder=None)
    numbers = transform.transform(own.inputs)[:, 0]
    assert numbers[:10].mean().item() == pytest.approx(0, abs=1e-6)
    assert numbers[10:].min() > 1


@pytest.mark.parametrize("texts", [[""] * 9, ["a I ."] * 9, [f"word{row}" for row in range(9)]])
def test_texts_without_a_common_word_are_refused_by_the_name_of_their_column(tmp_path, texts):
    path = write_csv(
        tmp_path / "t.csv", ("words", "label"), [(text, row % 2) for row, text in enumerate([*texts, "x"])]
    )
    own = read_own(path, Columns("label", "words"))
    with pytest.raises(ValueError, match="words must hold texts with words"):
        fit_transform(own, Columns("label", "words"), torch.arange(9), image_size=None, encoder=None)


def test_images_of_another_shape_than_in_training_are_refused():
    pictures = Pictures((1, 8, 8))
    same = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    assert pictures.transform(same) is same
    for shape in ((3, 8, 8), (1, 9, 8)):
        with pytest.raises(ValueError, match=r"must be 1 x 8 x 8 \(channels, height, width\), as in training, got"):
            pictures.transform(torch.zeros(2, *shape, dtype=torch.uint8))


def test_images_of_arrays_need_not_be_square(tmp_path):
    np.savez(tmp_path / "i.npz", images=np.zeros((10, 6, 9), np.uint8), labels=np.arange(10) % 2)
    own = read_own(tmp_path / "i.npz")
    assert own.inputs.shape == (10, 1, 6, 9)
    transform = fit_transform(own, Columns(), torch.arange(10), image_size=None, encoder=None)
    assert transform.transform(own.inputs).shape == (10, 1, 6, 9)
    with pytest.raises(ValueError, match="must be arrays of 6 x 9 pixels, as in training, got files"):
        transform.transform([tmp_path / "i.png"])
    with pytest.raises(ValueError, match="as in training"):
        transform.transform(torch.zeros(2, 1, 9, 6, dtype=torch.uint8))
