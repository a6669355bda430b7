import numpy as np
import pytest
import torch
from simulated import class_world, learned_world

from labelnoise.audit.forward_calibration import ForwardCalibration, _even_loss, _matrix_loss, fit_forward_calibration


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


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_a_network_that_has_learned_the_noise_is_seen_through(rate):
    transition = (1 - rate) * np.eye(5) + rate * np.eye(5)[[1, 2, 3, 4, 0]]
    probabilities, given, true = learned_world(transition)
    found = fit(probabilities, given)
    assert found.learned
    # 4,000 samples a class: one standard error of an entry at 40 % is 0.008.
    assert np.abs(found.transition.numpy() - transition).max() < 0.03
    belief = torch.from_numpy(probabilities)
    posterior = found.posterior(found.belief(belief), torch.from_numpy(given))
    right = (posterior.argmax(1).numpy() == true).mean()
    assert right > 0.99
    assert right > (probabilities.argmax(1) == true).mean() + (0.2 if rate == 0.4 else 0)


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


def test_one_rate_and_the_matrix_that_it_stands_for_are_the_same_noise():
    probabilities, given, *_ = class_world(n=500)
    belief, labels = torch.from_numpy(probabilities), torch.from_numpy(given)
    even = ForwardCalibration(1.5, torch.tensor([0.5, -0.5, 0.0, 1.0]), 0.3)
    full = even._replace(noise=even.transition)
    assert torch.equal(even.transition.diagonal(), torch.full((4,), 0.7))
    assert even.transition.sum(1).numpy() == pytest.approx(1)
    torch.testing.assert_close(even.evidence(belief, labels), full.evidence(belief, labels), rtol=1e-6, atol=0)
    torch.testing.assert_close(even.posterior(belief, labels), full.posterior(belief, labels), rtol=1e-6, atol=0)
    # A row's scale makes no difference to a posterior, which is why scores do for beliefs.
    torch.testing.assert_close(even.posterior(9 * belief, labels), even.posterior(belief, labels))
    scores = even.scores(belief)
    torch.testing.assert_close(scores / scores.sum(1, keepdim=True), even.belief(belief))


def minus_log_posterior(flat, probabilities, labels):
    """Written as in the module's docstring, for autograd."""
    n, k = probabilities.shape
    rate = flat[-1].sigmoid()
    one = torch.eye(k, dtype=torch.float64)
    transition = (1 - one) * rate / (k - 1) + one * (1 - rate)
    belief = (flat[0].exp() * probabilities.log() + flat[1:-1]).softmax(1)
    given = (belief @ transition)[torch.arange(n), labels]
    return flat[1:-1].square().sum() / 2 / n - given.log().mean()


@pytest.mark.parametrize("rate", [1e-6, 0.2, 0.95])
@pytest.mark.parametrize("sharpness", [0.2, 1.0, 5.0])
def test_the_gradient_by_hand_is_that_of_the_likelihood(rate, sharpness):
    probabilities, given, *_ = class_world(n=200, k=5)
    probabilities, labels = torch.from_numpy(probabilities).clamp(min=1e-3), torch.from_numpy(given)
    flat = torch.tensor([np.log(sharpness), 0.3, -0.2, 0.0, 1.0, -2.0, np.log(rate / (1 - rate))], requires_grad=True)
    expected = minus_log_posterior(flat, probabilities, labels)
    expected.backward()
    value, gradient = _even_loss(probabilities.log(), labels)(flat.detach().numpy())
    assert value == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, flat.grad, rtol=1e-9, atol=1e-12)


def minus_log_posterior_of_matrix(flat, probabilities, labels, *, learned):
    """Of log a, b and the logits of T's rows; one more sample of each true class, 98 % with its own label."""
    n, k = probabilities.shape
    log_transition = flat[1 + k :].view(k, k).log_softmax(1)
    transition, logs = log_transition.exp(), probabilities.log()
    belief = (flat[0].exp() * (logs @ transition.T if learned else logs) + flat[1 : 1 + k]).softmax(1)
    given = (belief @ transition)[torch.arange(n), labels]
    prior = torch.full((k, k), 0.02 / (k - 1), dtype=torch.float64).fill_diagonal_(0.98)
    return (flat[1 : 1 + k].square().sum() / 2 - (prior * log_transition).sum()) / n - given.log().mean()


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("sharpness", [0.2, 1.0, 5.0])
def test_the_gradient_of_a_matrix_by_hand(sharpness, learned):
    probabilities, given, *_ = class_world(n=200, k=5)
    probabilities, labels = torch.from_numpy(probabilities).clamp(min=1e-3), torch.from_numpy(given)
    matrix = torch.randn(25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flat = torch.cat([torch.tensor([np.log(sharpness), 0.3, -0.2, 0.0, 1.0, -2.0]), matrix]).requires_grad_()
    expected = minus_log_posterior_of_matrix(flat, probabilities, labels, learned=learned)
    expected.backward()
    value, gradient = _matrix_loss(probabilities.log(), labels, learned=learned)(flat.detach().numpy())
    assert value == pytest.approx(expected.item(), rel=1e-8)  # the prior is given in float32
    np.testing.assert_allclose(gradient, flat.grad, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("log_sharpness", [-4.0, 4.0])
def test_beyond_its_bounds_nothing_moves(log_sharpness):
    probabilities, given, *_ = class_world(n=50, k=3)
    flat = np.zeros(13)
    flat[0], flat[1] = log_sharpness, 30.0
    loss = _matrix_loss(torch.from_numpy(probabilities).clamp(min=1e-3).log(), torch.from_numpy(given), learned=False)
    _, gradient = loss(flat)
    assert gradient[:2] == pytest.approx([0.0, 30.0 / 50])  # of the bias the prior alone


@pytest.mark.parametrize("k", [3, 40])  # with a matrix, and with one rate
def test_a_calibration_reads_only_what_it_is_given(k):
    probabilities, given, *_ = class_world(n=400, k=k)
    probabilities, labels = torch.from_numpy(probabilities).float(), torch.from_numpy(given)
    before = probabilities.clone()
    found = fit_forward_calibration(probabilities, labels)
    found.posterior(found.belief(probabilities), labels)
    assert torch.equal(probabilities, before)


def test_certain_labels_of_a_certain_network_are_finite_at_the_bounds():
    probabilities = torch.eye(50)[torch.arange(300) % 50]
    found = fit_forward_calibration(probabilities, torch.arange(300) % 50)
    assert isinstance(found.noise, float)
    assert 0 < found.noise < 1e-3
    assert found.posterior(found.belief(probabilities), torch.arange(300) % 50).isfinite().all()
