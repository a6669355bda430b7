import multiprocessing
import os
import sqlite3
import time
from collections import Counter

import psutil
import pytest
from test_config import SETTINGS

from labelnoise.runs import RunConfig, Store


def configs(count):
    return [RunConfig(**SETTINGS | {"seed": seed}) for seed in range(count)]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store.sqlite")


def counts(store):
    return Counter(state for _, state in store.states())


def own(store, config, **columns):
    """Let the claim of ``config`` belong to somebody else."""
    with sqlite3.connect(store.path) as database:
        for column, value in columns.items():
            database.execute(f"update runs set {column} = ? where run_id = ?", (value, config.run_id))


def test_every_run_is_claimed_once_and_counted(store):
    store.add(configs(3))
    store.add(configs(3))
    assert counts(store) == {"left": 3}
    claimed = [store.claim() for _ in range(4)]
    assert claimed == [*([config] for config in configs(3)), []]
    store.finish(claimed[0][0])
    store.finish(claimed[1][0], error="ValueError: no")
    assert counts(store) == {"done": 1, "running": 1, "failed": 1}
    assert store.failures() == [(claimed[1][0], "ValueError: no")]


def test_what_failed_is_tried_again_when_it_is_asked_for_again(store):
    store.add(configs(2))
    store.finish(store.claim()[0], error="no")
    store.add(configs(2))
    assert counts(store) == {"left": 2}
    assert store.failures() == []


def test_what_is_finished_or_lost_is_known_from_outside(store):
    store.add(configs(2), finished=configs(1))
    assert counts(store) == {"done": 1, "left": 1}
    assert store.claim() == configs(2)[1:]
    store.add(configs(2))  # the first has been deleted, the second is running
    assert counts(store) == {"running": 1, "left": 1}


def test_a_dead_process_of_this_host_loses_its_claim_at_once(store):
    (config,) = configs(1)
    store.add([config])
    process = multiprocessing.get_context("spawn").Process(target=store.claim)
    process.start()
    process.join()
    assert counts(store) == {"left": 1}
    assert store.claim() == [config]


def test_a_dead_process_that_nobody_has_waited_for_loses_its_claim_too(store):
    store.add(configs(1))
    process = multiprocessing.get_context("spawn").Process(target=store.claim)
    process.start()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert counts(store) == {"left": 1}
    process.join()


def stacked(count, **changes):
    return [RunConfig(**SETTINGS | {"stacked": True, "seed": seed} | changes) for seed in range(count)]


def test_what_is_trained_together_is_claimed_together(store):
    others = stacked(2, epochs=7)
    mixed = [*stacked(3), *configs(1), *others, *stacked(2, rate=0.1)]
    store.add(mixed)
    assert store.claim() == [*mixed[:3], *mixed[6:]]
    assert store.claim() == configs(1)
    assert store.claim() == others
    assert store.claim() == []


def test_only_what_is_wanted_is_claimed(store):
    store.add([*configs(3), *stacked(3)])
    wanted = {configs(3)[1].run_id, stacked(3)[2].run_id}
    assert [store.claim(wanted=wanted) for _ in range(3)] == [[configs(3)[1]], [stacked(3)[2]], []]


def test_claimants_share_a_large_stack(store):
    store.add(stacked(40))
    assert [len(store.claim(2)) for _ in range(5)] == [20, 10, 8, 2, 0]
    store.add([config.model_copy(update={"epochs": 9}) for config in stacked(50)])
    assert len(store.claim()) == 32


@pytest.mark.parametrize(
    ("columns", "silence", "free"),
    [
        ({"started": 1.0}, 0, True),  # another process has got the number of the dead one
        ({"started": psutil.Process().create_time() + 2}, 0, False),  # the clock was set meanwhile
        ({"host": "elsewhere", "pid": 1}, 0, False),
        ({"host": "elsewhere", "pid": 1}, 50, False),
        ({"host": "elsewhere", "pid": 1}, 61, True),
        ({}, 3600, False),  # alive on this host, though its heart has stopped
    ],
)
def test_whether_an_owner_is_alive(store, columns, silence, free):
    (config,) = configs(1)
    store.add([config])
    store.claim()
    own(store, config, heartbeat=time.time() - silence, **columns)
    assert counts(store) == {"left" if free else "running": 1}
    assert store.claim() == ([config] if free else [])


@pytest.fixture
def silent(store, monkeypatch):
    """A store with a run of this process, which has not been heard of since 1970."""
    monkeypatch.setattr("labelnoise.runs.store._HEARTBEAT_SECONDS", 0.01)
    (config,) = configs(1)
    store.add([config])
    store.claim()
    own(store, config, heartbeat=0.0)
    return store


def heartbeat(store):
    with sqlite3.connect(store.path) as database:
        return database.execute("select heartbeat from runs").fetchone()[0]


def test_a_beat_that_cannot_be_written_is_not_the_last(silent, monkeypatch):
    real, tries = silent._transaction, []

    def failing_first():
        tries.append(1)
        if len(tries) == 1:
            raise sqlite3.OperationalError("database or disk is full")
        return real()

    monkeypatch.setattr(silent, "_transaction", failing_first)
    with silent.heartbeat():
        deadline = time.monotonic() + 10
        while len(tries) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert heartbeat(silent) > time.time() - 60


def test_the_heart_beats_while_the_block_runs(silent):
    with silent.heartbeat():
        deadline = time.monotonic() + 10
        while heartbeat(silent) == 0:
            assert time.monotonic() < deadline
    assert heartbeat(silent) > time.time() - 60


def claim_all(store, claimed):
    while configs := store.claim():
        claimed.put((configs[0].run_id, os.getpid()))
        time.sleep(0.001)


def test_many_processes_share_the_runs_without_doing_one_twice(store):
    """The claimants stay alive until all is claimed, else their runs would rightly be taken over."""
    store.add(configs(40))
    context = multiprocessing.get_context("spawn")
    claimed = context.Queue()
    processes = [context.Process(target=claim_and_wait, args=(store, claimed)) for _ in range(2)]
    for process in processes:
        process.start()
    rows = [claimed.get(timeout=60) for _ in range(40)]
    for process in processes:
        process.terminate()
        process.join()
    assert sorted(run_id for run_id, _ in rows) == sorted(config.run_id for config in configs(40))
    assert not any(psutil.pid_exists(process.pid) for process in processes)


def claim_and_wait(store, claimed):
    claim_all(store, claimed)
    time.sleep(60)


def test_what_the_database_says_names_its_file(tmp_path):
    (tmp_path / "store.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError, match=f"{tmp_path}/store.sqlite: file is not a database"):
        Store(tmp_path / "store.sqlite")
