"""Two readings of the same disagreement: what one set of probabilities leaves open, and what bounds it.

Where a network doubts a sample and the label goes against it, either the network errs on a hard sample, or whoever
labelled it did: both make the same labels equally likely, so no estimate from one set of probabilities can tell them
apart. Each reading takes one side.

* ``class``: noise depends on the true class only (synthetic noise, slips, a mapping gone wrong). Then doubt is the
  network's, a wrong label is one the noise explains better, and p(true = i | x, given = j) is proportional to
  r_i(x) T_ij: exact if the reading holds, too few errors if it does not.
* ``instance``: whoever labels finds hard what the network finds hard (people, mostly). Then a label is one draw from
  the doubt r(x) and says nothing more of the truth, which is what two such readers agree on, r_i(x)^2 up to scale:
  too many errors if the network is the weaker reader.
* ``auto``: half of each, unless the data speak against the second (:func:`disagreement_rises`).
"""

import math
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labelnoise.audit.forward_calibration import ForwardCalibration

Assume = Literal["auto", "class", "instance"]
ASSUMPTIONS: tuple[str, ...] = get_args(Assume)

_SURE_SIGN = 4.0  # standard errors; chance gives it once in 30,000 audits


def class_posterior(
    calibration: ForwardCalibration, belief: Float[Tensor, "n k"], labels: Int64[Tensor, "n"]
) -> Float[Tensor, "n k"]:
    """p(true label | x, given label) where noise depends on the class alone.

    >>> import torch
    >>> even = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
    >>> calibration = ForwardCalibration(1.0, torch.zeros(2), even)
    >>> class_posterior(calibration, torch.tensor([[0.5, 0.5]]), torch.tensor([0]))
    tensor([[0.8000, 0.2000]])
    """
    return calibration.posterior(belief, labels)


def instance_posterior(belief: Float[Tensor, "n k"], *, out: Tensor | None = None) -> Float[Tensor, "n k"]:
    """p(true label | x) where the given label is one reader's draw and the truth what two agree on.

    Rows of ``belief`` need not sum to 1; ``out`` may be ``belief`` itself.

    >>> import torch
    >>> instance_posterior(torch.tensor([[0.75, 0.25]]))
    tensor([[0.9000, 0.1000]])
    """
    agreed = torch.square(belief, out=out)
    return agreed.div_(agreed.sum(1, keepdim=True))


def disagreement_rises(belief: Float[Tensor, "n k"], labels: Int64[Tensor, "n"]) -> bool:
    """Whether labels contradict the model more often where it is surest than where it is less so.

    Compares, among the samples that the model takes for one class, the surest quarter with the next one, in which it
    hardly errs either, and adds up over the classes, whose noise may differ (Mantel and Haenszel 1959). Noise on hard
    samples makes disagreement fall with confidence, noise by class leaves it level. That it rises says that the model
    was misled where it is surest: its folds saw another noise than they predict, or noise sits in parts of the data
    that are easy to learn.

    >>> import torch
    >>> sure = torch.linspace(0.5, 1, 4000)
    >>> belief, right = torch.stack([sure, 1 - sure], 1), torch.zeros(4000, dtype=torch.int64)
    >>> disagreement_rises(belief, torch.where(sure > 0.95, 1, right)), disagreement_rises(belief, right)
    (True, False)
    """
    beliefs = belief.numpy()
    predicted = beliefs.argmax(1)
    confidence = beliefs[np.arange(len(beliefs)), predicted]
    differs = predicted != labels.numpy()
    difference = variance = 0.0
    for own in np.split(np.lexsort((confidence, predicted)), np.bincount(predicted).cumsum()):
        if not len(own):
            continue
        ordered = confidence[own]
        half, least = ordered.searchsorted(ordered[[len(own) // 2, 3 * len(own) // 4]])  # equals are not parted
        first, second = differs[own[least:]], differs[own[half:least]]
        if len(second):  # else the model is equally sure of most
            weight = 1 / (1 / len(first) + 1 / len(second))
            pooled = differs[own[half:]].mean()
            difference += weight * (first.mean() - second.mean())
            variance += weight * pooled * (1 - pooled)
    return bool(difference > _SURE_SIGN * math.sqrt(variance))
