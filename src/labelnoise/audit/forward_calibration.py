r"""Probabilities as a network gives them, corrected by how the given labels really fall.

A network's probabilities are off in two ways: it is too sure or not sure enough, and it has learned the noise with the
labels. Both are put right at once, by maximum likelihood of the given labels under

.. math:: p(\text{given} = j \mid x) = \sum_i r_i(x) T_{ij}, \qquad r(x) = \mathrm{softmax}(a \log p(x) + b),

with a sharpness a, a bias b for each class, and a transition matrix T. r is then what the network believes of the true
label. A network that was trained on the given labels has learned T too, so that its probabilities of a sample of class
i look like row i of T: which of two mixed-up classes is the larger says little then, and which two they are says all.
So r compares them with the rows,

.. math:: r(x) = \mathrm{softmax}(a\, T \log p(x) + b),

which is exact where p(x) of class i is Dirichlet around row i: the log of its density is a times row i times log p(x),
but for a constant of the class. With a T that spreads its errors evenly it is the same as above. Temperature and bias
are those of Guo et al. 2017 (arXiv 1706.04599) and Alexandari et al. 2020 (arXiv 1901.06852), T is that of Patrini et
al. 2017 (arXiv 1609.03683); fitting the three together, and comparing with the rows, is ours.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from scipy.optimize import minimize
from torch import Tensor

_STEPS = {"maxiter": 60}  # 400 move the rate by less than 0.0002 on 20,000 samples, by up to 0.01 on 1,400
_EVEN_STEPS = {"maxiter": 60, "ftol": 3e-7, "gtol": 1e-4, "maxls": 5}  # scipy's tolerances move it by 0.0002 at most
_SHARPEST = 20.0  # bounds of a, b and, where there is one rate, its log odds, that only degenerate data reach
_LEAST_LOG = -40.0  # nothing at float32's precision, and far from its subnormal numbers, which are 100 times slower
_STARTS = ((1.0, 0.02), (3.0, 0.2))  # sharpness and noise rate: the doubt is the samples', or the noise's


class ForwardCalibration(NamedTuple):
    """What turns probabilities into beliefs about the true label."""

    sharpness: float
    """a: above 1 for a network that is not sure enough."""
    bias: Float[Tensor, "k"]
    """b."""
    noise: float | Float[Tensor, "k k"]
    """T, or the one rate of a T that spreads its errors evenly."""
    learned: bool = False
    """Whether the network has learned a T of its own entries with the labels."""

    @property
    def transition(self) -> Float[Tensor, "k k"]:
        """T: p(given label = column | true label = row)."""
        if isinstance(self.noise, Tensor):
            return self.noise
        k = len(self.bias)
        return torch.full((k, k), self.noise / (k - 1)).fill_diagonal_(1 - self.noise)

    def belief(self, probabilities: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """r: what the network believes of the true label before it has seen the given one."""
        scores = self.scores(probabilities)
        return scores.div_(scores.sum(1, keepdim=True))

    def scores(self, probabilities: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """The same up to a factor for each row, which is all that a posterior needs, and cheaper."""
        logs = _compared(_relative_logs(probabilities), self)
        return _scores(logs, self.sharpness, self.bias, out=logs)

    def evidence(self, belief: Float[Tensor, "n k"], labels: Int64[Tensor, "n"]) -> Float[Tensor, "n"]:
        """p(given label | x), of the labels that were given."""
        if isinstance(self.noise, Tensor):
            return (belief * self.noise.T[labels]).sum(1)
        unlucky = self.noise / (belief.shape[1] - 1)
        right = belief.gather(1, labels[:, None])[:, 0]
        return belief.sum(1).mul_(unlucky).add_(right, alpha=1 - self.noise - unlucky)

    def posterior(self, belief: Float[Tensor, "n k"], labels: Int64[Tensor, "n"]) -> Float[Tensor, "n k"]:
        """p(true label = i | x, given label y) = r_i T_iy / evidence; rows of ``belief`` need not sum to 1."""
        if isinstance(self.noise, Tensor):
            joint = belief * self.noise.T[labels]
            return joint.div_(joint.sum(1, keepdim=True))
        evidence, own = self.evidence(belief, labels)[:, None], labels[:, None]
        right = belief.gather(1, own).mul_(1 - self.noise).div_(evidence)
        return (belief * (self.noise / (belief.shape[1] - 1) / evidence)).scatter_(1, own, right)


def fit_forward_calibration(probabilities: Float[Tensor, "n k"], labels: Int64[Tensor, "n"]) -> ForwardCalibration:
    """Fit sharpness, biases and transition matrix to given labels, which must come in random order.

    The matrix has either one rate and an even spread over the wrong classes, or entries of its own, which the network
    has learned or has not: whichever, fitted to the first half, makes the labels of the second more likely. Where there
    are fewer than one sample for two entries, as with many classes, only the even one is tried. Priors keep what no
    sample speaks for where it would be without data: b is normal with deviation 1, and each true class has one more
    sample, 98 % of it with its own label.

    >>> generator = torch.Generator().manual_seed(0)
    >>> sure = torch.rand(5000, generator=generator)
    >>> probabilities = torch.stack([sure, 1 - sure], 1)
    >>> true = (torch.rand(5000, generator=generator) > sure).long()
    >>> given = torch.where(torch.rand(5000, generator=generator) < 0.2, 1 - true, true)
    >>> fitted = fit_forward_calibration(probabilities, given)
    >>> torch.allclose(fitted.transition, torch.tensor([[0.8, 0.2], [0.2, 0.8]]), atol=0.05)
    True
    """
    n, k = probabilities.shape
    logs, half = _relative_logs(probabilities), n // 2
    starts = [ForwardCalibration(sharpness, torch.zeros(k), rate) for sharpness, rate in _STARTS]
    if 2 * n < k * k:
        return _fit(logs, labels, starts)
    even = _fit(logs[:half], labels[:half], starts)
    # The confusion is all labels', not the half's: it tips close calls to a matrix (docs/failed.md).
    matrices = [even._replace(noise=even.transition), starts[-1]._replace(noise=_confusion(logs, labels))]
    learned = [start._replace(learned=True) for start in matrices]
    found = [even, *(_fit(logs[:half], labels[:half], alike) for alike in (matrices, learned))]
    better = max(found, key=lambda fitted: _log_likelihood(logs[half:], labels[half:], fitted))
    return _fit(logs, labels, [better, *starts] if better is even else [better])  # the even fit costs little


def _relative_logs(probabilities: Tensor) -> Tensor:
    """To the largest of each row, so that its score can neither overflow nor vanish, in a tensor of their own."""
    # Never the logarithm of 0: a class that was given no probability at all is as good as impossible.
    logs = probabilities.float().clamp(min=1e-12).log_()
    return logs.sub_(logs.amax(1, keepdim=True))


def _compared(logs: Tensor, fitted: ForwardCalibration) -> Tensor:
    """T log p where T has been learned."""
    return _with_rows(logs, fitted.noise) if fitted.learned and isinstance(fitted.noise, Tensor) else logs


def _with_rows(logs: Tensor, transition: Tensor) -> Tensor:
    compared = logs @ transition.T
    return compared.sub_(compared.amax(1, keepdim=True))


def _scores(logs: Tensor, sharpness: float, bias: Tensor, *, out: Tensor) -> Tensor:
    """exp(a log p + b), in ``out``."""
    return torch.add(bias, logs, alpha=sharpness, out=out).clamp_(min=_LEAST_LOG).exp_()


def _log_likelihood(logs: Tensor, labels: Tensor, fitted: ForwardCalibration) -> float:
    """Of the given labels; mean over the samples."""
    scores = _scores(_compared(logs, fitted), fitted.sharpness, fitted.bias, out=torch.empty_like(logs))
    return (fitted.evidence(scores, labels) / scores.sum(1)).log().mean().item()


def _confusion(logs: Tensor, labels: Tensor) -> Tensor:
    """T if the model never erred."""
    counts = _prior(logs.shape[1])
    counts.index_put_((logs.argmax(1), labels), torch.ones(len(labels)), accumulate=True)
    return counts / counts.sum(1, keepdim=True)


def _prior(k: int) -> Tensor:
    """One more sample of each true class."""
    return ForwardCalibration(1.0, torch.zeros(k), _STARTS[0][1]).transition


def _fit(logs: Tensor, labels: Tensor, starts: list[ForwardCalibration]) -> ForwardCalibration:
    """The most likely of what L-BFGS finds from ``starts``: of many wrong labels the likelihood has two hills."""
    k, even, learned = logs.shape[1], isinstance(starts[0].noise, float), starts[0].learned
    loss = _even_loss(logs, labels) if even else _matrix_loss(logs, labels, learned=learned)
    settings: dict[str, Any] = {"options": _EVEN_STEPS if even else _STEPS}
    unit = np.ones(len(_flat(starts[0])))
    if even:
        unit[1:-1] = math.sqrt(k)  # one sample in k or so speaks for a bias: in units that long it takes half the steps
        ends = np.array([math.log(_SHARPEST), *[_SHARPEST] * (k + 1)]) / unit
        settings["bounds"] = np.stack([-ends, ends], 1)

    def in_units(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = loss(flat * unit)
        return value, gradient * unit

    found = [minimize(in_units, _flat(start) / unit, jac=True, method="L-BFGS-B", **settings) for start in starts]
    flat = torch.from_numpy(min(found, key=lambda result: result.fun).x * unit)
    # A matrix lies column by column, since a posterior looks up columns.
    noise = flat[-1].sigmoid().item() if even else flat[1 + k :].view(k, k).softmax(1).float().T.contiguous().T
    return ForwardCalibration(
        _bounded_sharpness(flat[0]).item(), _bounded_bias(flat[1 : 1 + k]).float(), noise, learned
    )


def _bounded_sharpness(log_sharpness: Tensor) -> Tensor:
    return log_sharpness.exp().clamp(1 / _SHARPEST, _SHARPEST)


def _bounded_bias(bias: Tensor) -> Tensor:
    return bias.clamp(-_SHARPEST, _SHARPEST)


def _flat(fitted: ForwardCalibration) -> np.ndarray:
    """What L-BFGS varies: log a, b, and the log odds of the one rate or log T."""
    rate_or_matrix = torch.as_tensor(fitted.noise, dtype=torch.float64)
    noise = rate_or_matrix.clamp(min=1e-30).log() if rate_or_matrix.ndim else rate_or_matrix.logit()
    return np.concatenate([[math.log(fitted.sharpness)], fitted.bias.numpy(), noise.flatten().numpy()])


def _even_loss(logs: Tensor, labels: Tensor) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Minus log likelihood and prior of one rate, mean over the samples, with the gradient.

    By hand and in one buffer: autograd's new (n, k) tensors at each call cost several times the arithmetic. A label's
    likelihood is u + (1 - rate - u) r_y, u = rate / (k - 1), and of r = softmax(s), s = a log p(x) + b,
    d r_y / d s_j = r_y (1[j = y] - r_j).
    """
    n, k = logs.shape
    own = labels[:, None]
    logs_of_own, buffer = logs.gather(1, own)[:, 0], torch.empty_like(logs)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        sharpness, bias, rate = math.exp(flat[0]), flat[1:-1], torch.tensor(flat[-1]).sigmoid().item()
        unlucky = rate / (k - 1)
        scores = _scores(logs, sharpness, torch.from_numpy(bias).to(logs.dtype), out=buffer)
        total = scores.sum(1)
        right = scores.gather(1, own)[:, 0] / total
        likelihood = right.mul(1 - rate - unlucky).add_(unlucky)
        toward = right.mul(1 - rate - unlucky).div_(likelihood)
        away = toward / total
        by_bias = torch.zeros_like(scores[0]).index_add_(0, labels, toward).sub_(away @ scores)
        by_sharpness = sharpness * (toward @ logs_of_own - (away @ scores.mul_(logs)).sum()).item()
        by_noise = rate * (1 - rate) * ((1 - k * right) / likelihood).sum().item() / (k - 1)
        gradient = np.concatenate([[by_sharpness], by_bias.double().numpy() - bias, [by_noise]]) / -n
        return float(bias @ bias) / 2 / n - likelihood.log().mean(dtype=torch.float64).item(), gradient

    return loss


def _matrix_loss(logs: Tensor, labels: Tensor, *, learned: bool) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """The same for a matrix: d log likelihood / d s_j = w_j - r_j, where w is the posterior, r_j T_jy / likelihood."""
    n, k = logs.shape
    prior, buffer = _prior(k).to(logs.dtype), torch.empty_like(logs)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parts = torch.from_numpy(flat).to(logs.dtype)
        bias, log_transition = parts[1 : 1 + k], parts[1 + k :].view(k, k).log_softmax(1)
        sharpness, transition = _bounded_sharpness(parts[0]).item(), log_transition.exp()
        compared = _with_rows(logs, transition) if learned else logs
        scores = _scores(compared, sharpness, _bounded_bias(bias), out=buffer)
        belief = scores.div_(scores.sum(1, keepdim=True))
        joint = F.embedding(labels, transition.T.contiguous()).mul_(belief)
        likelihood = joint.sum(1, keepdim=True)
        posterior = joint.div_(likelihood)
        by_log_transition = torch.zeros_like(prior).index_add_(0, labels, posterior).T + prior
        toward = posterior.sub_(belief)
        if learned:
            by_log_transition += sharpness * transition * (toward.T @ logs)
        by_matrix = by_log_transition - transition * by_log_transition.sum(1, keepdim=True)
        by_bias = toward.sum(0).where(bias.abs() <= _SHARPEST, 0) - bias
        by_sharpness = sharpness * toward.mul_(compared).sum() * (abs(parts[0]) <= math.log(_SHARPEST))
        value = (bias.square().sum() / 2 - (prior * log_transition).sum()) / n - likelihood.log().mean()
        gradient = torch.cat([by_sharpness.view(1), by_bias, by_matrix.flatten()]) / -n
        return value.item(), gradient.double().numpy()

    return loss
