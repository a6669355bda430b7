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


def rises(random, rate_of_confidence, n=20_000):
    confidence = torch.from_numpy(random.uniform(0.5, 1, n))
    differs = torch.from_numpy(random.random(n)) < rate_of_confidence(confidence)
    return disagreement_rises(torch.stack([confidence, 1 - confidence], 1), differs.long())


def test_disagreement_that_falls_or_is_level_does_not_rise():
    random = np.random.default_rng(0)
    assert rises(random, lambda c: 0.4 * c - 0.1)
    assert not rises(random, lambda c: 0.5 - 0.4 * c)
    assert not any(rises(random, lambda c: torch.full_like(c, 0.2)) for _ in range(50))


def test_a_class_that_is_easy_and_noisier_than_others_is_no_rise():
    random = np.random.default_rng(0)
    true = random.integers(2, size=40_000)
    logits = np.stack([np.zeros(len(true)), random.standard_normal(len(true))], 1)
    logits[np.arange(len(true)), true] += np.where(true == 0, 8, 3)
    given = np.where(random.random(len(true)) < np.where(true == 0, 0.3, 0.05), 1 - true, true)
    assert not disagreement_rises(torch.from_numpy(softmax(logits)), torch.from_numpy(given))


def test_equal_confidence_has_no_order():
    assert not disagreement_rises(torch.tensor([[1.0, 0.0]]).expand(1000, 2), (torch.arange(1000) < 100).long())
