import contextlib
import os
import threading
import time
import warnings

import numpy as np
import psutil
import pytest
import torch
from noisy_data import features, own_code, write_csv

from labelnoise.fitting import Request, Work, default_recipe, prepare
from labelnoise.fitting import recipe as fitting_recipe
from labelnoise.fitting import train as fitting_train
from labelnoise.fitting.suspicion import fold_jobs
from labelnoise.fitting.train import Job, train_all
from labelnoise.runs import Part

CCE = Part(name="cce")


def work_of(path, folder, *, epochs=3, **parts):
    recipe = default_recipe("features", "auto", samples=128, device="cpu")
    return Work(Request(path, **parts), recipe, epochs, False, "cpu", folder)


def run(work, *jobs, workers=1, told=None):
    return train_all(work, jobs, workers=workers, on_progress=(told if told is not None else []).append)


def same(first, second):
    assert first._replace(state={}, history=[])._fields == second._fields
    for name, one, other in zip(first._fields, first, second, strict=True):
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), name
    assert first.state.keys() == second.state.keys()
    assert all(torch.equal(first.state[name], second.state[name]) for name in first.state)
    assert first.best_epoch == second.best_epoch
    assert [epoch[:4] for epoch in first.history] == [epoch[:4] for epoch in second.history]


def test_a_finished_training_is_read_and_not_done_again(tmp_path, monkeypatch):
    work = work_of(features(tmp_path).path, tmp_path / "work")
    told = []
    first = run(work, Job("a", Part(name="pruned_gce")), told=told)["a"]
    assert told[-1] == 3
    assert sorted(path.name for path in (tmp_path / "work" / "a").iterdir()) == ["epoch", "result.pt"]
    monkeypatch.setattr(fitting_train, "_train", None)
    same(first, run(work, Job("a", Part(name="pruned_gce")))["a"])
    assert first.epochs_pruned.dtype == torch.int64


def test_augmentation_precision_and_rate_of_the_recipe_reach_the_training(tmp_path, monkeypatch):
    seen, real = {}, fitting_train.train

    def spy(*args, **settings):
        seen.update(settings)
        return real(*args, **settings | {"augment": None})

    monkeypatch.setattr(fitting_train, "train", spy)
    work = work_of(features(tmp_path).path, tmp_path / "work")
    changes = {"augment": Part(name="crop", padding=3), "precision": "bf16-mixed", "learning_rate": 0.02}
    changes |= {"weight_decay": 0.03, "batch_size": 24}
    run(work._replace(recipe=work.recipe.model_copy(update=changes)), Job("a", CCE))
    assert seen["augment"].keywords == {"padding": 3, "flip": False}
    assert seen["fabric"]._precision.precision == "bf16-mixed"
    assert seen["batch_size"] == 24
    (group,) = seen["optimizer"].param_groups
    assert (group["max_lr"], group["weight_decay"]) == (0.02, 0.03)


def test_what_a_training_came_to_is_of_the_epochs_it_should_be_of(tmp_path, monkeypatch):
    made, real = [], fitting_train.train

    def spy(*args, **settings):
        made.append((settings["balanced"], real(*args, **settings)))
        return made[-1][1]

    monkeypatch.setattr(fitting_train, "train", spy)
    data, random = features(tmp_path), np.random.default_rng(0)
    np.savez(tmp_path / "test.npz", features=4 * random.normal(size=(400, 3)), labels=["cat", "dog"] * 200)
    work = work_of(data.path, tmp_path / "work", epochs=6, test=tmp_path / "test.npz")
    found = run(work, Job("a", CCE))["a"]
    run(work._replace(balanced=True, folder=tmp_path / "balanced"), Job("a", CCE))
    assert [balanced for balanced, _ in made] == [False, True]
    record = made[0][1].record
    assert not torch.equal(record.loss[0], record.loss[-1])
    assert torch.equal(found.last_loss, record.loss[-1].float())
    assert torch.equal(found.mean_margin, sum(record.margin.float()) / 6)

    prepared = prepare(work.request)
    network = fitting_train.build_network(work.recipe.model, prepared.test.inputs.shape[1:], 2)
    network.load_state_dict(found.state)
    with torch.inference_mode():
        at_best = (network.eval()(prepared.test.inputs).argmax(1) == prepared.test.labels).float().mean().item()
    assert found.test_accuracy[0] == pytest.approx(at_best)
    assert found.test_accuracy[0] != found.test_accuracy[1]  # or their order could not be told


def test_a_loss_that_becomes_nan_is_a_message_and_stops_no_other(tmp_path):
    work = work_of(features(tmp_path).path, tmp_path / "work")
    mine = own_code(tmp_path)
    results = run(work, Job("bad", Part(name=f"{mine}:NaNLoss")), Job("good", Part(name=f"{mine}:Loss")))
    assert results["bad"].startswith("the loss became nan at epoch 1, step 1 of 4")
    assert len(results["good"].history) == 3


def test_a_pruning_that_empties_a_class_is_no_noise_on_the_screen(tmp_path):
    work = work_of(features(tmp_path).path, tmp_path / "work")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(work, Job("a", Part.model_validate({"name": "pruned_gce", "k": 0.999})))["a"]
    assert result.epochs_pruned.max() > 0
    assert not caught


def test_rows_to_leave_out_are_not_trained_on(tmp_path):
    data = features(tmp_path)
    work = work_of(data.path, tmp_path / "work")
    leave_out = torch.from_numpy(data.wrong)
    result = run(work, Job("a", CCE, leave_out=leave_out))["a"]
    assert not leave_out[result.index].any()
    assert len(result.index) == (~leave_out[prepare(work.request).training.index]).sum()
    assert len(result.validation) == 32  # which stays as noisy as it was


def test_rows_that_are_held_are_seen_by_neither_part(tmp_path):
    work = work_of(features(tmp_path).path, tmp_path / "work")
    held = torch.arange(0, 160, 4)
    training, validation, predicted = fitting_train._parts(
        prepare(work.request), Job("a", CCE, held=held), work.request
    )
    seen = training.index.tolist() + validation.index.tolist()
    assert sorted(seen) == sorted(set(range(160)) - set(held.tolist()))
    assert torch.equal(predicted.index, held)
    whole = prepare(work.request).whole
    for batch in (training, validation, predicted):
        for row, inputs, label in zip(batch.index[:10], batch.inputs, batch.labels, strict=False):
            position = whole.index.tolist().index(row)
            assert torch.equal(inputs, whole.inputs[position])
            assert label == whole.labels[position]
    assert run(work, Job("a", CCE, held=held))["a"].held.shape == (40, 2)


def test_with_checked_rows_the_folds_too_choose_by_them(tmp_path):
    data = features(tmp_path)
    path = write_csv(tmp_path / "d.csv", ("index", "decision", "label"), [(row, "relabel", "cat") for row in range(20)])
    request = Request(data.path, trusted=path)
    held = torch.arange(30, 60)
    training, validation, _ = fitting_train._parts(prepare(request), Job("a", CCE, held=held), request)
    assert validation.index[:20].tolist() == list(range(20))
    seen = torch.cat([training.index, validation.index])  # beside so few, noisy ones choose too
    assert sorted(seen.tolist()) == [*range(30), *range(60, 160)]


def test_a_worker_that_is_killed_is_told_and_the_next_call_goes_on_to_the_same_bits(tmp_path):
    path = features(tmp_path).path
    jobs = Job("a", Part(name="pruned_gce")), Job("b", CCE)
    expected = run(work_of(path, tmp_path / "whole", epochs=50), *jobs)
    work = work_of(path, tmp_path / "work", epochs=50)

    def kill_one():
        file = tmp_path / "work" / "a" / "epoch"
        while not file.exists() or int(file.read_text() or 0) < 3:
            time.sleep(0.01)
        for child in psutil.Process(os.getpid()).children(recursive=True):
            with contextlib.suppress(psutil.ZombieProcess):  # of an earlier test
                if "popen_loky" in " ".join(child.cmdline()):
                    child.kill()
                    return

    thread = threading.Thread(target=kill_one)
    thread.start()
    with pytest.raises(ChildProcessError, match="the same command goes on"):
        run(work, *jobs, workers=2)
    thread.join()
    epochs = int((tmp_path / "work" / "a" / "epoch").read_text())
    assert 3 <= epochs < 50
    again = run(work, *jobs)
    for name in ("a", "b"):
        same(expected[name], again[name])


def test_every_draw_of_a_training_is_of_the_fits_seed(tmp_path, monkeypatch):
    seen = []
    for module, name in ((fitting_train, "child_generator"), (fitting_train, "seeded"), (fitting_recipe, "seeded")):
        draw = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *stream, draw=draw: seen.append(stream) or draw(*stream))
    work = work_of(features(tmp_path).path, tmp_path / "work", seed=5)
    run(work, *fold_jobs(prepare(work.request), CCE, folds=2, seed=5)[:1])
    assert set(seen) == {(5, "fold"), (5, "weights"), (5, "layers"), (5, "order")}
