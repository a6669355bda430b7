import numpy as np
import torch
from simulated import class_world, softmax

from labelnoise.audit.forward_calibration import ForwardCalibration
from labelnoise.audit.readings import class_posterior, disagreement_rises, instance_posterior


def test_the_class_reading_is_bayes_rule():
    _, given, _, belief, transition = class_world(n=50, rate=0.3)
    calibration = ForwardCalibration(1.0, torch.zeros(4), torch.from_numpy(transition))
    found = class_posterior(calibration, torch.from_numpy(belief), torch.from_numpy(given))
    for row in range(50):
        joint = [belief[row, i] * transition[i, given[row]] for i in range(4)]
        np.testing.assert_allclose(found[row], np.array(joint) / sum(joint))


def test_the_instance_reading_is_what_two_readers_agree_on():
    random = np.random.default_rng(0)
    belief = softmax(random.standard_normal((1, 3)))
    first, second = random.choice(3, p=belief[0], size=(2, 200_000))
    agreed = np.bincount(first[first == second], minlength=3) / (first == second).sum()
    # 70,000 agreements: a standard error of 0.002.
    np.testing.assert_allclose(instance_posterior(torch.from_numpy(belief))[0], agreed, atol=0.01)


def test_disagreement_that_falls_or_is_level_does_not_rise():
    random = np.random.default_rng(0)
    confidence = torch.from_numpy(random.random(20_000))
    rates = {"rises": 0.1 + 0.2 * confidence, "falls": 0.3 - 0.2 * confidence, "level": torch.full((20_000,), 0.2)}
    draws = torch.from_numpy(random.random(20_000))
    found = {name: disagreement_rises(confidence, draws < rate) for name, rate in rates.items()}
    assert found == {"rises": True, "falls": False, "level": False}


def test_equal_confidence_has_no_order():
    assert not disagreement_rises(torch.ones(1000), torch.arange(1000) < 100)
