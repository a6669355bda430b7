r"""Probabilities as a network gives them, corrected by how the given labels really fall.

A network's probabilities are off in two ways: it is too sure or not sure enough, and it has learned the noise with the
labels. Both are put right at once, by maximum likelihood of the given labels under

.. math:: p(\text{given} = j \mid x) = \sum_i r_i(x) T_{ij}, \qquad r(x) = \mathrm{softmax}(a \log p(x) + b),

with a sharpness a, a bias b for each class, and a transition matrix T. r is then what the network believes of the true
label. Temperature and bias are those of Guo et al. 2017 (arXiv 1706.04599) and Alexandari et al. 2020
(arXiv 1901.06852), T is that of Patrini et al. 2017 (arXiv 1609.03683); fitting the three together is ours.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from scipy.optimize import minimize
from torch import Tensor

_ITERATIONS = 60  # 400 move the estimated rate by less than 0.0002
_SHARPEST = 20.0  # bounds of a and b that only degenerate data reach
_STARTS = ((1.0, 0.02), (3.0, 0.2))  # sharpness and noise rate: the doubt is the samples', or the noise's


class ForwardCalibration(NamedTuple):
    """What turns probabilities into beliefs about the true label."""

    sharpness: float
    """a: above 1 for a network that is not sure enough."""
    bias: Float[Tensor, "k"]
    """b."""
    transition: Float[Tensor, "k k"]
    """T: p(given label = column | true label = row)."""

    def belief(self, probabilities: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """r: what the network believes of the true label before it has seen the given one."""
        # Never the logarithm of 0: a class that was given no probability at all is as good as impossible.
        logs = probabilities.to(torch.float32, copy=True).clamp_(min=1e-12).log_()
        return logs.mul_(self.sharpness).add_(self.bias).softmax(1)


def fit_forward_calibration(probabilities: Float[Tensor, "n k"], labels: Int64[Tensor, "n"]) -> ForwardCalibration:
    """Fit sharpness, biases and transition matrix to given labels, which must come in random order.

    The matrix has either one rate and an even spread over the wrong classes, or entries of its own: whichever, fitted
    to the first half, makes the labels of the second more likely. Where there are fewer than one sample for two
    entries, as with many classes, only the even one is tried. Priors keep what no sample speaks for where it would be
    without data: b is normal with deviation 1, and each true class has one more sample, 98 % of it
    with its own label.

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
    logs, half = probabilities.float().clamp(min=1e-12).log(), n // 2
    starts = [_Fitted(math.log(sharpness), torch.zeros(k), _log_odds(rate)) for sharpness, rate in _STARTS]
    if 2 * n < k * k:
        best = _fit(logs, labels, starts)
    else:
        even = _fit(logs[:half], labels[:half], starts)
        matrices = [start._replace(noise=_matrix(start.noise, k)) for start in starts]
        matrices.append(starts[-1]._replace(noise=_confusion(logs, labels)))
        full = _fit(logs[:half], labels[:half], matrices)
        better = max(even, full, key=lambda fitted: _log_likelihood(logs[half:], labels[half:], fitted).item())
        best = _fit(logs, labels, [better] if better is full else [better, *starts])  # the even fit costs little
    transition = _matrix(best.noise, k).exp().T.contiguous().T  # its columns are what a posterior looks up
    return ForwardCalibration(float(_sharpness(best.log_sharpness)), best.bias, transition)


class _Fitted(NamedTuple):
    log_sharpness: Tensor | float
    bias: Tensor
    noise: Tensor
    """Log odds of the one rate, or log T (k, k)."""


def _fit(logs: Tensor, labels: Tensor, starts: list[_Fitted]) -> _Fitted:
    """The most likely of what L-BFGS finds from ``starts``: of many wrong labels the likelihood has two hills."""
    found = [_climb(logs, labels, start) for start in starts]
    return max(found, key=lambda fitted: _log_likelihood(logs, labels, fitted).item())


def _climb(logs: Tensor, labels: Tensor, start: _Fitted) -> _Fitted:
    n, k = logs.shape

    def unpacked(flat: Tensor) -> _Fitted:
        noise = flat[1 + k :]
        return _Fitted(flat[0], flat[1 : 1 + k], noise[0] if len(noise) == 1 else noise.view(k, k).log_softmax(1))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.from_numpy(flat).float().requires_grad_()
        fitted = unpacked(leaf)
        prior = fitted.bias.square().sum() / 2
        if fitted.noise.ndim:
            prior = prior - (spread * fitted.noise).sum()
        value = prior / n - _log_likelihood(logs, labels, fitted)
        value.backward()
        assert leaf.grad is not None
        return value.item(), leaf.grad.double().numpy()

    spread = _matrix(_log_odds(_STARTS[0][1]), k).exp()
    flat = torch.cat([torch.as_tensor(start.log_sharpness).view(1), start.bias, start.noise.flatten()])
    found = minimize(loss, flat.double().numpy(), jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    return unpacked(torch.from_numpy(found.x).float())


def _log_odds(rate: float) -> Tensor:
    return torch.tensor(math.log(rate / (1 - rate)))


def _matrix(noise: Tensor, k: int) -> Tensor:
    """Log T, (k, k), also of one rate."""
    if noise.ndim:
        return noise
    wrong = F.logsigmoid(noise) - math.log(k - 1)
    return torch.where(torch.eye(k, dtype=torch.bool), F.logsigmoid(-noise), wrong)


def _confusion(logs: Tensor, labels: Tensor) -> Tensor:
    """Log T if the model never erred."""
    k = logs.shape[1]
    counts = _matrix(_log_odds(_STARTS[0][1]), k).exp()
    counts.index_put_((logs.argmax(1), labels), torch.ones(len(labels)), accumulate=True)
    return (counts / counts.sum(1, keepdim=True)).log()


def _log_likelihood(logs: Tensor, labels: Tensor, fitted: _Fitted) -> Tensor:
    """Of the given labels; mean over the samples."""
    scaled = _sharpness(fitted.log_sharpness) * logs + fitted.bias.clamp(-_SHARPEST, _SHARPEST)
    belief = scaled.log_softmax(1)
    if fitted.noise.ndim:
        return torch.logsumexp(belief + fitted.noise.T[labels], 1).mean()
    right = belief.gather(1, labels[:, None]).exp()
    rate = fitted.noise.sigmoid()
    return ((1 - rate) * right + rate / (logs.shape[1] - 1) * (1 - right)).clamp(min=1e-30).log().mean()


def _sharpness(log_sharpness: Tensor | float) -> Tensor:
    return torch.as_tensor(log_sharpness).exp().clamp(1 / _SHARPEST, _SHARPEST)
