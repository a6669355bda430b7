"""A step asks nothing of the device: the host would wait there for all that has been given to it.

On an accelerator such waits can be made errors (tests/cuda); here the operations that cause them are counted, and more
steps must not make more of them.
"""

import pytest
import torch
from problem import BATCH_SIZE, blobs, run
from test_stack import RUNS, member, optimizer, schedule_of
from torch.utils._python_dispatch import TorchDispatchMode

from labelnoise.training import Trajectory, build_augment, train_stack

pytestmark = pytest.mark.filterwarnings("ignore:pruning after epoch")

# What reads a value back, or makes a tensor whose size depends on one.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "bincount", "equal", "repeat_interleave", "_unique2"}


class Waits(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        by_mask = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for index in (args[1] if isinstance(args[1], list | tuple) else [])
        )
        self.count += by_mask or name in WAITING
        return func(*args, **(kwargs or {}))


def waits(work):
    with Waits() as counted:
        work()
    return counted.count


@pytest.mark.parametrize(
    "work",
    [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: bool((x > 0).any())],
)
def test_what_waits_is_counted(work):
    assert waits(lambda: work(torch.ones(3))) == 1


@pytest.mark.parametrize("loss", ["cce", "mae", "gce", "truncated_gce", "pruned_gce"])
def test_more_steps_wait_no_more_often(loss):
    def epochs_of(steps):
        splits = (blobs(steps * BATCH_SIZE, "train"), blobs(20, "validation"), blobs(20, "test"))
        trajectory = Trajectory(steps * BATCH_SIZE, 2, torch.device("cpu"))
        return waits(lambda: run(loss, splits=splits, trajectory=trajectory))

    assert epochs_of(4) == epochs_of(40) > 0


def test_more_steps_of_a_stack_wait_no_more_often(tmp_path):
    def epochs_of(batch_size, folder):
        folder.mkdir()
        members = [member(*own, tmp_path=folder) for own in RUNS[:3]]  # a pruning waits as its outcome wants
        settings = dict(optimizer=optimizer, schedule=schedule_of(40), epochs=5, device=torch.device("cpu"))
        return waits(lambda: train_stack(members, batch_size=batch_size, **settings))

    assert epochs_of(160, tmp_path / "few") == epochs_of(20, tmp_path / "many") > 0


def test_augmentation_never_waits():
    images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    augment = build_augment("crop_flip", padding=2)
    assert waits(lambda: augment(images, torch.Generator())) == 0
