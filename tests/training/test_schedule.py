import math

import pytest
import torch

from labelnoise.training import build_schedule

EPOCHS, STEPS = 10, 4


def rates(name, **settings):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5, momentum=0.9)
    schedule = build_schedule(name, optimizer, epochs=EPOCHS, steps_per_epoch=STEPS, **settings)
    used = []
    for _ in range(EPOCHS * STEPS):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["momentum"] == 0.9
    return used


def test_multi_step_falls_after_the_milestone_epochs():
    expected = [0.5] * 4 * STEPS + [0.05] * 4 * STEPS + [0.005] * 2 * STEPS
    assert rates("multi_step", milestones=[4, 8]) == pytest.approx(expected)


def test_multi_step_without_milestones_is_constant():
    assert rates("multi_step") == [0.5] * EPOCHS * STEPS


def test_cosine_follows_half_a_cosine_to_zero():
    total = EPOCHS * STEPS
    expected = [0.25 * (1 + math.cos(math.pi * step / total)) for step in range(total)]
    assert rates("cosine") == pytest.approx(expected)


def test_one_cycle_rises_to_the_full_rate_and_falls_to_nearly_nothing():
    used = rates("one_cycle")
    assert max(used) == pytest.approx(0.5)
    assert used.index(max(used)) == pytest.approx(0.3 * EPOCHS * STEPS, abs=1)
    assert used[0] < 0.03
    assert used[-1] < 1e-4


@pytest.mark.usefixtures("without_shape_checks")
def test_one_cycle_without_a_warmup_begins_at_the_full_rate():
    used = rates("one_cycle", warmup_fraction=0)
    assert used[0] == pytest.approx(0.5, rel=1e-2)  # torch has it one step before the first
    assert used == sorted(used, reverse=True)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cosin", {}, "unknown schedule 'cosin'; did you mean 'cosine'"),
        ("cosine", {"milestones": [1]}, "unknown setting of cosine 'milestones'"),
        ("one_cycle", {"warmup_fraction": 2.0}, r"warmup_fraction must be within \[0, 1\), got 2.0"),
        ("one_cycle", {"warmup_fraction": 1.0}, r"warmup_fraction must be within \[0, 1\), got 1.0"),
        ("one_cycle", {"warmup_fraction": 1 / (EPOCHS * STEPS)}, "must come to more than one step, or less, got"),
        ("multi_step", {"milestones": [4, 10]}, r"milestones must lie below epochs 10, got \[10\]"),
    ],
)
def test_mistakes_are_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        rates(name, **settings)
