import numpy as np
import pytest
import torch
from simulated import class_world

from labelnoise.audit.forward_calibration import fit_forward_calibration


def fit(probabilities, given):
    return fit_forward_calibration(torch.from_numpy(probabilities), torch.from_numpy(given))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_what_the_data_were_drawn_from_is_found_again(rate, sharpness):
    probabilities, given, _, belief, transition = class_world(rate=rate, sharpness=sharpness)
    found = fit(probabilities, given)
    # 5,000 samples a class: one standard error of an entry at 40 % is 0.007.
    assert np.abs(found.transition.numpy() - transition).max() < 0.03
    assert found.sharpness == pytest.approx(sharpness, rel=0.1)
    assert found.bias.abs().max() < 0.15
    # Float32 underflows where an unsure network's probabilities are raised to a power; there both are near 0 or 1.
    assert np.abs(found.belief(torch.from_numpy(probabilities)).numpy() - belief).mean() < 0.01


def test_a_matrix_with_entries_of_its_own_is_found_where_there_is_one():
    transition = np.array([[0.9, 0.1, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.3, 0.7, 0.0], [0.2, 0.0, 0.0, 0.8]])
    probabilities, given, *_ = class_world(transition=transition)
    assert np.abs(fit(probabilities, given).transition.numpy() - transition).max() < 0.03


def test_a_network_that_favours_a_class_is_put_right():
    probabilities, given, _, belief, _ = class_world(rate=0.1)
    biased = probabilities * [4.0, 1.0, 1.0, 1.0]
    found = fit(biased / biased.sum(1, keepdims=True), given)
    assert (found.bias[1:] - found.bias[0]).numpy() == pytest.approx(np.log(4.0), abs=0.2)
    assert np.abs(found.belief(torch.from_numpy(biased)).numpy() - belief).mean() < 0.01


def test_an_absent_class_and_one_sample_of_another_are_fine():
    probabilities, given, *_ = class_world(n=500)
    given = np.where(given == 3, 0, given)
    given[0] = 3
    padded = np.hstack([0.99 * probabilities, np.full((500, 1), 0.01)])
    found = fit(padded, given)
    assert found.transition.isfinite().all()
    assert found.transition.sum(1).numpy() == pytest.approx(1, abs=1e-5)


def test_certainty_and_impossibility_are_numbers_like_others():
    probabilities = np.eye(3)[np.arange(300) % 3]
    given = np.arange(300) % 3
    given[:30] = (given[:30] + 1) % 3
    found = fit(probabilities, given)
    assert found.transition.diagonal().numpy() == pytest.approx(0.9, abs=0.05)


def test_the_same_data_give_the_same_bits():
    probabilities, given, *_ = class_world(n=3000)
    assert torch.equal(fit(probabilities, given).transition, fit(probabilities, given).transition)
