import errno
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from labelnoise import _files
from labelnoise.experiments import load_data, load_recipe, local, read_all, run_all, study_runs
from labelnoise.runs import Part, RunFolder, Store
from labelnoise.training import load_checkpoint, save_checkpoint

# Augmented, so not stacked.
SMALL = {
    "augment": {"name": "crop", "padding": 1},
    "epochs": 3,
    "seeds": 2,
    "noises.0.rates": [0.4],
    "losses.3.warmup": 1,
    "losses.3.k": 0.01,
}


def configs(**changes):
    recipe = load_recipe("digits", SMALL | changes)
    rates = {loss.label: 0.01 for loss in recipe.losses}
    return study_runs(recipe, load_data(recipe.datasets[0]), learning_rates=rates)


def test_every_run_is_done_and_progress_is_told(tmp_path):
    seen = []
    assert run_all(configs(), tmp_path, workers=2, on_progress=seen.append) == []
    assert [state for _, state in seen[-1]] == ["done"] * 8
    assert len(read_all(configs(), tmp_path)) == 8


def test_a_run_that_fails_is_recorded_and_stops_no_other(tmp_path):
    good = configs()
    bad = good[0].model_copy(update={"dataset_checksum": "0" * 64})
    failures = run_all([bad, *good], tmp_path, workers=1, on_progress=lambda _: None)
    ((failed, error),) = failures
    assert failed.run_id == bad.run_id
    assert "has checksum" in error
    assert len(read_all(good, tmp_path)) == 8
    assert not RunFolder(tmp_path / "runs", bad).path.exists()


def test_what_was_left_by_another_selection_is_not_done(tmp_path):
    Store(tmp_path / "store.sqlite").add(configs())
    run_all(configs()[:1], tmp_path, workers=1, on_progress=lambda _: None)
    assert len(read_all(configs(), tmp_path)) == 1


def test_what_another_driver_is_at_is_waited_for(tmp_path):
    wanted = configs(seeds=1)[:2]
    store = Store(tmp_path / "store.sqlite")
    store.add(wanted)
    (claimed,) = store.claim(1)

    def other() -> None:
        time.sleep(1.5)  # while ours finds nothing left
        local.execute(claimed, tmp_path / "runs")
        store.finish(claimed, error=None)

    thread = threading.Thread(target=other)
    thread.start()
    assert run_all(wanted, tmp_path, workers=1, on_progress=lambda _: None) == []
    assert len(read_all(wanted, tmp_path)) == 2
    thread.join()


WORKER = """
import os, sys
from pathlib import Path
from labelnoise.experiments import local
root = Path(sys.argv[1])
execute = local.execute
def spy(config, *arguments, **settings):
    with (root / "log").open("a") as log:
        log.write(config.run_id + "\\n")
    execute(config, *arguments, **settings)
local.execute = spy
local._work(root, os.getpid(), "cpu", 1)
"""


def test_any_number_of_workers_in_one_folder_do_every_run_once(tmp_path):
    Store(tmp_path / "store.sqlite").add(configs())
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)]) for _ in range(3)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    assert sorted((tmp_path / "log").read_text().split()) == sorted(config.run_id for config in configs())


def test_a_full_disk_is_an_error_of_the_run_that_met_it(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_files.os, "fsync", full)
    Store(tmp_path / "store.sqlite").add(configs()[:2])
    local._work(tmp_path, os.getpid(), "cpu", 1)
    failures = Store(tmp_path / "store.sqlite").failures()
    assert len(failures) == 2
    for config, error in failures:
        folder = tmp_path / "runs" / config.run_id
        assert error.startswith(f"OSError: [Errno 28] No space left on device: '{folder}{os.sep}")
    assert not list(tmp_path.rglob("*.pt"))


def _lasted(root, config, *, seconds):
    """As if what was cut off had taken so long."""
    path = RunFolder(root / "runs", config).checkpoint
    save_checkpoint(path, load_checkpoint(path) | {"seconds": seconds})


DRIVER = """
import sys
from pathlib import Path
from test_local import configs
from labelnoise.experiments import run_all
run_all(configs(epochs=20), Path(sys.argv[1]), workers=2, on_progress=lambda _: None)
"""


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_whoever_is_killed_the_work_is_finished_to_the_same_bits_and_nobody_lives_on(victim, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.path.dirname(__file__)}  # noqa: PTH120
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], env=environment, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob("runs/*/checkpoint.pt")):
        assert driver.poll() is None
        time.sleep(0.05)
    family = psutil.Process(driver.pid).children(recursive=True)
    workers = [process for process in family if "popen_loky" in " ".join(process.cmdline())]
    os.kill(driver.pid if victim == "driver" else workers[0].pid, signal.SIGKILL)
    _, errors = driver.communicate(timeout=60)
    assert victim == "driver" or "ChildProcessError: a worker process was killed" in errors
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert "running" not in {state for _, state in Store(tmp_path / "store.sqlite").states()}

    # Finish with the epochs that are left, in one worker; compare one of the runs that were cut off.
    cut = next(config for config in configs(epochs=20) if RunFolder(tmp_path / "runs", config).checkpoint.exists())
    assert run_all([cut], tmp_path / "undisturbed", workers=1, on_progress=lambda _: None) == []
    with_rest_removed = tmp_path / "resumed"
    (with_rest_removed / "runs").mkdir(parents=True)
    (tmp_path / "runs" / cut.run_id).rename(with_rest_removed / "runs" / cut.run_id)
    _lasted(with_rest_removed, cut, seconds=1000.0)
    assert run_all([cut], with_rest_removed, workers=1, on_progress=lambda _: None) == []
    (first,), (second,) = read_all([cut], tmp_path / "undisturbed"), read_all([cut], with_rest_removed)
    assert first.history == second.history
    assert first.metrics == second.metrics
    assert 1000 < second.seconds < 1100


def test_a_run_that_fails_in_a_stack_is_recorded_and_stops_no_other(tmp_path):
    good = configs(augment=None)
    assert all(config.stacked for config in good)
    bad = good[0].model_copy(update={"loss": Part(name="pruned_gce", warmup=3)})  # of three epochs
    explosive = good[0].model_copy(update={"rate": 0.3, "loss": Part(name="gce", q=0.0, label_smoothing=0.5)})
    failures = run_all([bad, explosive, *good], tmp_path, workers=1, on_progress=lambda _: None)
    ((failed, error),) = failures
    assert failed.run_id == bad.run_id
    assert "warmup must lie below epochs 3" in error
    assert len(read_all([explosive, *good], tmp_path)) == 9


def test_a_run_is_the_same_alone_and_in_a_stack(tmp_path):
    together = configs(augment=None)
    run_all(together, tmp_path, workers=1, on_progress=lambda _: None)
    local.execute(together[3], tmp_path / "alone" / "runs")
    (alone,), stacked = read_all(together[3:4], tmp_path / "alone"), read_all(together, tmp_path)[3]
    assert alone.history == stacked.history
    assert alone.metrics == stacked.metrics
    assert (RunFolder(tmp_path / "runs", together[3]).path / "weights.safetensors").read_bytes() == (
        RunFolder(tmp_path / "alone" / "runs", together[3]).path / "weights.safetensors"
    ).read_bytes()


STACK_WORKER = """
import os, sys
from pathlib import Path
from labelnoise.experiments import local
from labelnoise.training import stack
stack._SECONDS_BETWEEN_CHECKPOINTS = 0
local._work(Path(sys.argv[1]), os.getpid(), "cpu", 1)
"""


def test_a_stack_whose_worker_was_killed_is_finished_to_the_same_bits(tmp_path):
    runs = configs(augment=None, epochs=20)
    cut, undisturbed = tmp_path / "cut", tmp_path / "undisturbed"
    cut.mkdir()
    Store(cut / "store.sqlite").add(runs)
    worker = subprocess.Popen([sys.executable, "-c", STACK_WORKER, str(cut)])
    while len(list(cut.glob("runs/*/checkpoint.pt"))) < len(runs) // 2:
        assert worker.poll() is None
        time.sleep(0.01)
    worker.kill()
    worker.wait()
    assert not read_all(runs, cut)
    begun = next(run for run in runs if RunFolder(cut / "runs", run).checkpoint.exists())
    _lasted(cut, begun, seconds=1000.0)
    for root in (cut, undisturbed):
        assert run_all(runs, root, workers=1, on_progress=lambda _: None) == []
        assert run_all(runs, root, workers=1, on_progress=lambda _: None) == []  # with nothing left to do
    for first, second in zip(read_all(runs, cut), read_all(runs, undisturbed), strict=True):
        assert first.history == second.history
        assert first.metrics == second.metrics
        assert (first.seconds > 1000) == (first.config == begun)
