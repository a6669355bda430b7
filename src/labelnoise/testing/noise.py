"""The contract of a noise model."""

import math
import random
from collections.abc import Callable

import numpy as np
import torch

from labelnoise._types import NoiseRecord

FALSE_ALARM = 1e-9
"""Odds that a right noise model fails :func:`check_noise` by the luck of its draws."""


def check_noise(noise: Callable[..., NoiseRecord], *, num_classes: int) -> None:
    """Assert that ``noise(labels, generator=generator)`` keeps the contract of a noise model.

    Checked are the record's types and shapes, that ``flipped`` and ``rate`` say what happened to the labels, that the
    transition matrix is one and the labels were drawn from it, that the same seed gives the same noise, that no global
    random state and no input is touched, and that there may be one label or none.

    Args:
        noise: the model, all its other arguments bound.
        num_classes: k, of the labels it is tried on.

    Raises:
        AssertionError: with what is wrong.

    Example:
        >>> from labelnoise.noise import build
        >>> check_noise(build("symmetric", rate=0.4, num_classes=10), num_classes=10)
    """
    labels = torch.randint(num_classes, (20_000,), generator=_generator(0))
    for count in (len(labels), 1, 0):
        given = labels[:count].clone()
        before = _global_random_state()
        record = noise(given, generator=_generator(1))
        assert _global_random_state() == before, "noise must draw from its generator, a global random state was touched"
        assert torch.equal(given, labels[:count]), "noise must leave the labels it is given as they are"
        assert isinstance(record, NoiseRecord), f"noise must return a NoiseRecord, got {type(record).__name__}"
        _check_record(record, given, num_classes)
        again = noise(given, generator=_generator(1))
        assert torch.equal(record.labels, again.labels), "the same seed must give the same noisy labels"
        assert torch.equal(record.transition, again.transition), "the same seed must give the same transition matrix"
        _check_drawn_from(record, given)


def _check_record(record: NoiseRecord, labels: torch.Tensor, num_classes: int) -> None:
    noisy, flipped, rate, transition = record
    assert noisy.dtype == torch.int64, f"labels must stay int64, got {noisy.dtype}"
    assert noisy.shape == labels.shape, f"labels must keep their shape {tuple(labels.shape)}, got {tuple(noisy.shape)}"
    assert noisy.device == labels.device, f"labels must stay on {labels.device}, got {noisy.device}"
    assert ((noisy >= 0) & (noisy < num_classes)).all(), f"labels must stay within [0, {num_classes})"
    assert torch.equal(flipped, noisy != labels), "flipped must be where the label differs from the one given"
    share = flipped.sum().item() / max(len(labels), 1)
    assert isinstance(rate, float), f"rate must be a float, got {type(rate).__name__}"
    assert rate == share, f"rate must be the share of flipped, {share}, got {rate}"
    wanted = (num_classes, num_classes)
    assert transition.dtype == torch.float64, f"transition must be float64, got {transition.dtype}"
    assert transition.shape == wanted, f"transition must be of shape {wanted}, got {tuple(transition.shape)}"
    assert (transition >= 0).all(), "transition must hold probabilities, got a negative one"
    # k additions in float64, each off by at most one unit in the last place.
    off = (transition.sum(1) - 1).abs().max().item()
    assert off <= 4 * num_classes * torch.finfo(torch.float64).eps, (
        f"rows of transition must sum to 1, one is off by {off}"
    )


def _check_drawn_from(record: NoiseRecord, labels: torch.Tensor) -> None:
    """Hold the counts of each (true, noisy) pair to Bernstein's bound, which is sound for rare pairs too."""
    num_classes = len(record.transition)
    pairs = torch.bincount(labels * num_classes + record.labels, minlength=num_classes**2)
    counts = pairs.view(num_classes, num_classes)
    assert not counts[record.transition == 0].any(), "transition calls a flip impossible that happened"
    expected = counts.sum(1, keepdim=True) * record.transition
    variance = expected * (1 - record.transition)
    log_odds = math.log(2 * num_classes**2 / FALSE_ALARM)
    allowed = (2 * log_odds * variance + (log_odds / 3) ** 2).sqrt() + log_odds / 3
    true, wrong = divmod(int(((counts - expected).abs() - allowed).argmax()), num_classes)
    assert (counts - expected).abs()[true, wrong] <= allowed[true, wrong], (
        f"the labels were not drawn from transition: {counts[true, wrong]} of class {true} became {wrong}, "
        f"{expected[true, wrong]:.1f} were expected"
    )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _global_random_state() -> tuple[object, ...]:
    numpy_state = np.random.get_state(legacy=False)["state"]
    return (
        random.getstate(),
        numpy_state["key"].tobytes(),
        numpy_state["pos"],
        torch.get_rng_state().numpy().tobytes(),
    )
