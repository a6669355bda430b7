"""A stack against the plain loop, and against itself in other company."""

import functools
import zlib

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import SGD

from labelnoise import objectives
from labelnoise._types import Batch
from labelnoise.datasets import digits
from labelnoise.losses import GCELoss
from labelnoise.models import MLP
from labelnoise.noise import symmetric
from labelnoise.objectives import PrunedLoss, Stateless
from labelnoise.training import (
    Member,
    NonFiniteLossError,
    build_schedule,
    child_generator,
    load_checkpoint,
    seeded,
    split_validation,
    stack,
    train,
    train_stack,
)

pytestmark = pytest.mark.filterwarnings("ignore:pruning after epoch")  # these settings prune too early, on purpose

SAMPLES, BATCH = 400, 32
PRUNED = {"warmup": 4, "period": 3, "k": 0.3}
# (loss, its settings, noise rate, seed): what the runs of a stack may differ in.
RUNS = [
    ("cce", {}, 0.4, 0),
    ("mae", {}, 0.4, 0),
    ("gce", {"q": 0.7}, 0.4, 0),
    ("pruned_gce", PRUNED, 0.4, 0),
    ("gce", {"q": 0.3}, 0.2, 1),
    ("truncated_gce", {"k": 0.4}, 0.6, 2),
    ("pruned_gce", PRUNED | {"average": "kept", "k": 0.2}, 0.4, 1),
    ("pruned_gce", PRUNED | {"update": "table"}, 0.2, 2),
    ("pruned_gce", PRUNED | {"on_empty": "keep_previous"}, 0.2, 3),
    ("cce", {}, 0.0, 3),
    ("gce", {"q": 0.7}, 0.4, 1),
    ("cce", {"label_smoothing": 0.1}, 0.4, 2),
]


def member(loss, settings, rate, seed, *, tmp_path, dtype=torch.float32):
    data = digits()
    data = data._replace(train=data.train.take(torch.arange(SAMPLES)), test=data.test.take(torch.arange(100)))
    noisy = symmetric(data.train.labels, rate=rate, num_classes=10, generator=child_generator(seed, "noise")).labels
    rows, held_out = split_validation(noisy, fraction=0.2, generator=child_generator(seed, "split"))
    inputs = data.train.inputs.to(dtype)
    parts = [Batch(inputs[some], noisy[some], some) for some in (rows, held_out)]
    with seeded(seed, "weights"):
        model = MLP((1, 8, 8), 10, hidden=(64,)).to(dtype)
    return Member(
        model,
        objectives.build(loss, num_samples=len(rows), **settings),
        *parts,
        data.test._replace(inputs=data.test.inputs.to(dtype)),
        child_generator(seed, "order"),
        tmp_path / f"{zlib.crc32(repr((loss, settings, rate, seed)).encode())}.pt",
    )


def optimizer(parameters):
    return SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-4)


def schedule_of(epochs):
    return functools.partial(build_schedule, "cosine", epochs=epochs, steps_per_epoch=SAMPLES * 8 // 10 // BATCH)


def together(runs, epochs, tmp_path, dtype=torch.float32):
    return train_stack(
        [member(*run, tmp_path=tmp_path, dtype=dtype) for run in runs],
        optimizer=optimizer,
        schedule=schedule_of(epochs),
        epochs=epochs,
        batch_size=BATCH,
        device=torch.device("cpu"),
    )


def alone(run, epochs, tmp_path, dtype=torch.float32):
    """By the plain loop; also the objective, which remembers."""
    own = member(*run, tmp_path=tmp_path, dtype=dtype)
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true" if dtype == torch.float64 else "32-true")
    fabric.launch()
    own_optimizer = optimizer(own.model.parameters())
    result = train(
        own.model,
        own.objective,
        own.train,
        own.validation,
        own.test,
        fabric=fabric,
        optimizer=own_optimizer,
        schedule=schedule_of(epochs)(own_optimizer),
        epochs=epochs,
        batch_size=BATCH,
        generator=own.generator,
    )
    return result, own


def same(first, second):
    weights = all(torch.equal(first.best_state[name], second.best_state[name]) for name in first.best_state)
    records = torch.equal(first.record.loss, second.record.loss) and torch.equal(
        first.record.margin, second.record.margin
    )
    return first.history == second.history and first.best_epoch == second.best_epoch and weights and records


def test_a_run_has_the_same_bits_whatever_is_stacked_with_it(tmp_path):
    twelve = together(RUNS, 6, tmp_path)
    for some in ([3], [0], [6], [11], [3, 0, 7, 5, 2], [11, 10, 9, 8, 7]):
        for i, result in zip(some, together([RUNS[i] for i in some], 6, tmp_path), strict=True):
            assert same(result, twelve[i])


def test_losses_that_differ_in_a_tensor_alone_stay_apart(tmp_path):
    runs = [("gce", {"q": torch.tensor(q)}, 0.4, 0) for q in (0.2, 0.9)]
    for run, result in zip(runs, together(runs, 3, tmp_path), strict=True):
        (by_itself,) = together([run], 3, tmp_path)
        assert same(result, by_itself)
    low, high = together(runs, 3, tmp_path)
    assert not torch.equal(low.record.loss[1:], high.record.loss[1:])


def test_ten_epochs_equal_the_plain_loop(tmp_path):
    members = [member(*run, tmp_path=tmp_path) for run in RUNS]
    results = train_stack(
        members, optimizer=optimizer, schedule=schedule_of(10), epochs=10, batch_size=BATCH, device=torch.device("cpu")
    )
    for run, own, result in zip(RUNS, members, results, strict=True):
        expected, reference = alone(run, 10, tmp_path)
        assert result.best_epoch == expected.best_epoch
        for name, weight in expected.best_state.items():
            torch.testing.assert_close(result.best_state[name], weight, rtol=0, atol=1e-5)
        for ours, theirs in zip(result.history, expected.history, strict=True):
            assert tuple(ours) == pytest.approx(tuple(theirs), abs=1e-5)
        # float16 has ten bits: one unit of it where rounding has moved a value across its middle
        torch.testing.assert_close(result.record.loss, expected.record.loss, rtol=2**-10, atol=1e-5)
        torch.testing.assert_close(result.record.margin, expected.record.margin, rtol=2**-10, atol=1e-5)
        if hasattr(reference.objective, "kept"):
            assert torch.equal(own.objective.kept, reference.objective.kept)
            assert torch.equal(own.objective.epochs_pruned, reference.objective.epochs_pruned)
            assert own.objective.decisions == reference.objective.decisions
            assert 0 < reference.objective.kept.float().mean() < 1


def test_a_whole_training_in_float64_equals_the_plain_loop(tmp_path, monkeypatch):
    runs = [RUNS[0], RUNS[2], RUNS[3]]
    results = together(runs, 60, tmp_path, torch.float64)
    for run, result in zip(runs, results, strict=True):
        expected, _ = alone(run, 60, tmp_path, torch.float64)
        assert result.best_epoch == expected.best_epoch
        for ours, theirs in zip(result.history, expected.history, strict=True):
            assert tuple(ours) == pytest.approx(tuple(theirs), rel=1e-6, abs=1e-6)  # told in float32


def test_a_run_that_becomes_nan_fails_alone(tmp_path):
    class Exploding(GCELoss):
        def forward(self, logits, labels):
            return super().forward(logits, labels) * torch.inf

    runs = [member(*run, tmp_path=tmp_path) for run in RUNS[:3]]
    bad = runs[1]._replace(objective=Stateless(Exploding()))
    first, second, third = train_stack(
        [runs[0], bad, runs[2]],
        optimizer=optimizer, schedule=schedule_of(3), epochs=3, batch_size=BATCH, device=torch.device("cpu"),
    )  # fmt: skip
    assert isinstance(second, NonFiniteLossError)
    assert "at epoch 1, step 1 of 10, of Stateless" in str(second)
    others = together([RUNS[0], RUNS[2]], 3, tmp_path)
    assert same(first, others[0])
    assert same(third, others[1])


def test_a_stack_cut_off_goes_on_to_the_same_bits_in_other_company(tmp_path, monkeypatch):
    monkeypatch.setattr(stack, "_SECONDS_BETWEEN_CHECKPOINTS", 0)
    save, written = stack.save_checkpoint, []

    def stop_in_the_middle(path, state):
        if len(written) == 5 * len(RUNS) + 4:  # four members know of the sixth epoch, the others do not
            raise KeyboardInterrupt
        written.append(path)
        save(path, state)

    monkeypatch.setattr(stack, "save_checkpoint", stop_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        together(RUNS, 9, tmp_path)
    monkeypatch.setattr(stack, "save_checkpoint", save)
    for path in tmp_path.iterdir():
        state = load_checkpoint(path)
        assert 0 < state["seconds"] < 100
        save(path, state | {"seconds": 1000.0})
    (elsewhere := tmp_path / "elsewhere").mkdir()
    undisturbed = together(RUNS, 9, elsewhere)
    order = [7, 3, 0, 11, 5, 2, 8, 1, 10, 4, 6, 9]
    parts = [together([RUNS[i] for i in some], 9, tmp_path) for some in (order[:5], order[5:])]
    for i, result in zip(order, [*parts[0], *parts[1]], strict=True):
        assert same(result, undisturbed[i])
    assert all(1000 < load_checkpoint(path)["seconds"] < 1100 for path in tmp_path.glob("*.pt"))


def test_a_checkpoint_of_another_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(stack, "_SECONDS_BETWEEN_CHECKPOINTS", 0)
    together(RUNS[:1], 2, tmp_path)
    with pytest.raises(ValueError, match="is of another run; delete it to start anew"):
        together(RUNS[:1], 3, tmp_path)  # another schedule
    with pytest.raises(ValueError, match="is of another run"):
        train_stack(
            [member(*RUNS[0], tmp_path=tmp_path)._replace(objective=Stateless(GCELoss()))],
            optimizer=optimizer, schedule=schedule_of(2), epochs=2, batch_size=BATCH, device=torch.device("cpu"),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m._replace(train=m.train._replace(inputs=m.train.inputs[1:])), "must have one length"),
        (lambda m: m._replace(train=m.train.take(torch.arange(9))), "splits of one size, got inputs of"),
        (lambda m: m._replace(model=MLP((1, 8, 8), 10, hidden=(8,))), "of one size, got 2 different ones"),
        (lambda m: m._replace(objective=Stateless(GCELoss(reduction="sum"))), "plain means over the samples"),
        (lambda m: m._replace(objective=Stateless(GCELoss(weight=torch.ones(10)))), "plain means over the samples"),
        (lambda m: m._replace(objective=Stateless(GCELoss(ignore_index=3))), "plain means over the samples"),
        (lambda m: m._replace(objective=Stateless(nn.CrossEntropyLoss())), "of losses of this package"),
        (lambda m: m._replace(objective=PrunedLoss(GCELoss(ignore_index=3), 320, warmup=1)), "plain means over the"),
        (lambda m: m._replace(objective=PrunedLoss(nn.CrossEntropyLoss(), 320, warmup=1)), "of losses of this package"),
        (lambda m: m._replace(objective=objectives.build("pruned_gce", num_samples=319)), "warmup must lie below"),
    ],
)
def test_members_that_do_not_go_together_are_refused(change, message, tmp_path):
    good = member(*RUNS[0], tmp_path=tmp_path)
    with pytest.raises(ValueError, match=message):
        train_stack(
            [good, change(good)],
            optimizer=optimizer, schedule=schedule_of(3), epochs=3, batch_size=BATCH, device=torch.device("cpu"),
        )  # fmt: skip


@pytest.mark.parametrize(("epochs", "batch_size"), [(0, BATCH), (3, 0)])
def test_nothing_to_do_is_refused(epochs, batch_size, tmp_path):
    with pytest.raises(ValueError, match=f"must be at least 1, got {epochs} and {batch_size}"):
        train_stack(
            [member(*RUNS[0], tmp_path=tmp_path)],
            optimizer=optimizer,
            schedule=schedule_of(3),
            epochs=epochs,
            batch_size=batch_size,
            device=torch.device("cpu"),
        )
