import importlib.util
import math
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from problem import EPOCHS, blobs, run, same
from torch import nn

from labelnoise import objectives
from labelnoise.losses import GCELoss
from labelnoise.training import (
    NonFiniteLossError,
    Trajectory,
    evaluate,
    label_probability,
    load_checkpoint,
    open_fabric,
    predict,
    save_checkpoint,
)

LOSSES = ["cce", "gce", "pruned_gce"]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("loss", LOSSES)
def test_two_runs_are_equal_to_the_bit(loss):
    assert same(run(loss), run(loss))


def test_runs_of_two_losses_differ():
    assert not same(run("cce"), run("gce"))


@pytest.mark.parametrize("schedule", ["multi_step", "cosine", "one_cycle"])
@pytest.mark.parametrize("loss", LOSSES)
def test_interrupted_and_resumed_equals_undisturbed(loss, schedule, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    for epoch in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(loss, schedule=schedule, checkpoint=checkpoint, stop_at=epoch)
    assert same(run(loss, schedule=schedule, checkpoint=checkpoint), run(loss, schedule=schedule))


KILLED = """
import os, signal, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from problem import run
from labelnoise.objectives import Stateless
steps = 0
forward = Stateless.forward
def dying(self, *args):
    global steps
    steps += 1
    if steps == 11:  # in the middle of the third epoch
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, *args)
Stateless.forward = dying
run("gce", checkpoint=Path(sys.argv[1]))
"""


def test_killed_in_the_middle_of_an_epoch_and_resumed_equals_undisturbed(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(checkpoint)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert torch.load(checkpoint, weights_only=True)["history"][-1, 0] == 2
    assert same(run("gce", checkpoint=checkpoint), run("gce"))


def test_a_checkpoint_knows_the_seconds_of_all_processes(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    for epoch, before in ((1, 0), (2, 1000)):
        with pytest.raises(KeyboardInterrupt):
            run(checkpoint=checkpoint, stop_at=epoch)
        state = load_checkpoint(checkpoint)
        assert before < state["seconds"] < before + 100
        save_checkpoint(checkpoint, state | {"seconds": 1000.0})


def test_a_finished_checkpoint_is_returned_without_training(tmp_path):
    first = run(checkpoint=tmp_path / "checkpoint.pt")
    epochs = []
    second = run(checkpoint=tmp_path / "checkpoint.pt", augment=lambda inputs, _: epochs.append(1) or inputs)
    assert same(first, second)
    assert not epochs


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_trainer_equals_the_plain_loop_to_the_bit(capsys):
    plain, trained = (example(name).main(epochs=3) for name in ("plain_loop", "with_trainer"))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), trained.parameters(), strict=True))


def test_best_epoch_is_the_first_of_the_highest_noisy_validation_accuracy():
    _, result = run()
    accuracies = [metrics.validation_accuracy for metrics in result.history]
    assert result.best_epoch == accuracies.index(max(accuracies)) + 1
    assert [metrics.epoch for metrics in result.history] == list(range(1, EPOCHS + 1))


def test_poisoned_test_labels_change_nothing_but_the_test_accuracy():
    splits = blobs(30, "train"), blobs(20, "validation"), blobs(20, "test", flip=0)
    poisoned = splits[2]._replace(labels=1 - splits[2].labels)
    for loss in LOSSES:
        model, result = run(loss, splits=splits)
        other_model, other = run(loss, splits=(*splits[:2], poisoned))
        blind = [[m._replace(test_accuracy=0.0) for m in r.history] for r in (result, other)]
        assert blind[0] == blind[1]
        assert same((model, result._replace(history=blind[0])), (other_model, other._replace(history=blind[1])))
        assert all(
            math.isclose(a.test_accuracy, 1 - b.test_accuracy)
            for a, b in zip(result.history, other.history, strict=True)
        )


def test_the_record_holds_what_the_steps_saw():
    """At a learning rate of 0 and without dropout every epoch sees the initial network, so a reference can say what."""
    splits = blobs(30, "train"), blobs(20, "validation"), None
    model, result = run("cce", splits=splits, lr=0.0, dropout=0.0)
    logits = model(splits[0].inputs).double()
    record = result.record
    assert torch.equal(record.index, splits[0].index)
    assert torch.equal(record.labels, splits[0].labels)
    assert record.loss.shape == record.margin.shape == (EPOCHS, 30)
    for row, label in enumerate(splits[0].labels.tolist()):
        probability = logits[row].exp() / logits[row].exp().sum()
        # float16 keeps 11 bits: relative error 2^-11, and 2^-24 near zero.
        assert record.loss[:, row].double() == pytest.approx(-probability[label].log().item(), rel=2**-10, abs=1e-6)
        assert record.margin[:, row].double() == pytest.approx(
            (logits[row, label] - logits[row, 1 - label]).item(), rel=2**-10, abs=1e-6
        )
        assert record.label_probability[:, row].double() == pytest.approx(probability[label].item(), rel=2**-9)


def test_a_loss_that_becomes_nan_dies_early_and_says_where(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"

    class NaNFromEpoch3(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = 0

        def forward(self, logits, labels):
            self.steps += 1
            return logits.sum() * (math.nan if self.steps > 2 * 4 + 1 else 1.0)

    objective = objectives.Stateless(NaNFromEpoch3())
    build, objectives.build = objectives.build, lambda *_, **__: objective
    try:
        with pytest.raises(NonFiniteLossError, match=r"nan at epoch 3, step 2 of 4, of Stateless\( \(loss\): NaNFrom"):
            run(checkpoint=checkpoint)
    finally:
        objectives.build = build
    assert len(torch.load(checkpoint, weights_only=True)["history"]) == 2  # from before the damage


def changed(split, **fields):
    splits = {"train": blobs(30, "train"), "validation": blobs(20, "validation"), "test": blobs(20, "test")}
    splits[split] = splits[split]._replace(**fields)
    return tuple(splits.values())


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (changed("train", labels=torch.full((30,), 2)), r"train: labels must be within \[0, 2\).*got 2 to 2"),
        (changed("validation", labels=torch.full((20,), -1)), "validation: labels must be within"),
        (changed("train", labels=torch.zeros(30)), "train: labels must be int64"),
        (changed("train", labels=torch.zeros(29, dtype=torch.int64)), r"one length above 0, got \(30, 29, 30\)"),
        (changed("test", inputs=torch.full((20, 4), torch.nan)), "test: inputs must be finite.*row 0"),
        (changed("train", inputs=torch.tensor([0.0] * 119 + [math.inf]).view(30, 4)), "infinity in row 29"),
        (tuple(blobs(0, name) for name in "abc"), "train: .* one length above 0"),
    ],
)
def test_bad_data_is_refused_before_anything_is_trained(splits, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(splits=splits, checkpoint=tmp_path / "checkpoint.pt")
    assert not list(tmp_path.iterdir())


def test_evaluate_and_predict_leave_mode_and_weights_alone():
    fabric = open_fabric("cpu")
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2), nn.Dropout(0.5)).train()
    model[1].eval()  # frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = blobs(3000, "train")  # more than one batch of evaluation
    accuracy, loss = evaluate(model, data, fabric=fabric)
    other = {name: value + 1 for name, value in before.items()}
    probabilities = predict(model, other, data.inputs, fabric=fabric)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    with torch.no_grad():
        logits = model(data.inputs)
        assert accuracy == (logits.argmax(1) == data.labels).double().mean().item()
        # A float32 sum of 3000 terms, in two orders: 3000 * 2^-24 at the very worst.
        assert loss == pytest.approx(nn.functional.cross_entropy(logits, data.labels).item(), rel=2e-4)
        model.load_state_dict(other)
        expected = model(data.inputs).softmax(1)
    # The same arithmetic in other batch sizes, whose matmul may sum in another order.
    torch.testing.assert_close(probabilities, expected, rtol=1e-5, atol=1e-6)
    given = label_probability(model, other, data, fabric=fabric)
    assert torch.equal(given, probabilities[torch.arange(3000), data.labels])
    assert not probabilities.is_inference()  # which could not be written to, nor learnt from


def test_augmentation_touches_training_batches_only():
    seen = []
    run(augment=lambda inputs, generator: seen.append(len(inputs)) or inputs)
    assert sum(seen) == 30 * EPOCHS


def test_without_a_test_set_its_accuracy_is_nan():
    _, result = run(splits=(blobs(30, "train"), blobs(20, "validation"), None))
    assert all(math.isnan(metrics.test_accuracy) for metrics in result.history)


def test_weights_that_the_last_step_ruined_are_not_checkpointed(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    splits = blobs(8, "train"), blobs(20, "validation"), None  # one step an epoch
    with pytest.raises(NonFiniteLossError, match=r"the validation loss became (nan|inf) after epoch 1"):
        run(splits=splits, lr=1e38, checkpoint=checkpoint)
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.2},
        {"loss": "cce"},
        {"schedule": "one_cycle"},
        {"epochs": EPOCHS + 1},
        {"width": 8},
        {"trajectory": Trajectory(30, 2, torch.device("cpu"))},
        {"balanced": True},
        {"splits": (blobs(30, "other"), blobs(20, "validation"), None)},
        {"splits": (blobs(30, "train"), blobs(20, "other"), None)},
        {"optimizer": partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1)},
        {"optimizer": partial(torch.optim.SGD, momentum=0.8)},
        {"optimizer": torch.optim.Adam},
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=checkpoint, stop_at=2)
    with pytest.raises(ValueError, match="is of another run"):
        run(**change, checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("build", "changed"),
    [
        (lambda k: objectives.pruned_gce(30, k=k / 100, warmup=1), 0.6),
        (lambda weight: objectives.Stateless(GCELoss(weight=torch.tensor([1.0, weight]))), 2.0),
        (lambda q: objectives.Stateless(GCELoss(torch.tensor(q))), 0.2),
    ],
    ids=["threshold", "class weight", "tensor of q"],
)
def test_a_checkpoint_of_another_objective_is_refused(build, changed, tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.pt"
    monkeypatch.setattr(objectives, "build", lambda *_, **__: build(0.5))
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=checkpoint, stop_at=2)
    run(checkpoint=checkpoint)
    monkeypatch.setattr(objectives, "build", lambda *_, **__: build(changed))
    with pytest.raises(ValueError, match="is of another run"):
        run(checkpoint=checkpoint)


@pytest.mark.usefixtures("without_shape_checks")
def test_a_loss_is_told_how_it_becomes_an_objective(monkeypatch):
    monkeypatch.setattr(objectives, "build", lambda *_, **__: GCELoss())
    with pytest.raises(ValueError, match=r"objective must be one of .*, got GCELoss; a loss becomes one by Stateless"):
        run()


def test_a_checkpoint_of_more_epochs_is_refused(tmp_path):
    run(schedule="multi_step", checkpoint=tmp_path / "checkpoint.pt", epochs=3)
    with pytest.raises(ValueError, match="has 3 epochs, more than the 2 wanted"):
        run(schedule="multi_step", checkpoint=tmp_path / "checkpoint.pt", epochs=2)


def test_a_run_whose_schedule_has_no_end_may_be_made_longer(tmp_path):
    run(schedule="multi_step", checkpoint=tmp_path / "checkpoint.pt", epochs=3)
    longer = run(schedule="multi_step", checkpoint=tmp_path / "checkpoint.pt")
    assert same(longer, run(schedule="multi_step"))


def test_bfloat16_trains_and_resumes_to_the_same_bits(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        run("pruned_gce", precision="bf16-mixed", checkpoint=checkpoint, stop_at=3)
    undisturbed = run("pruned_gce", precision="bf16-mixed")
    assert same(run("pruned_gce", precision="bf16-mixed", checkpoint=checkpoint), undisturbed)
    assert not same(undisturbed, run("pruned_gce"))


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"loss": "pruned_gce", "epochs": 2}])
def test_settings_that_would_silently_do_nothing_are_refused(settings):
    message = "epochs and batch_size must be at least 1|warmup must lie below epochs 2, got 2"
    with pytest.raises(ValueError, match=message):
        run(**settings, schedule="multi_step")


def test_a_weight_that_a_network_uses_twice_is_predicted_with():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    fabric, inputs = open_fabric("cpu"), torch.randn(5, 4)
    expected = model(inputs).softmax(1).detach()
    torch.testing.assert_close(predict(model, model.state_dict(), inputs, fabric=fabric), expected, rtol=0, atol=1e-6)
