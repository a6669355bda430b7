"""Who does which run: one SQLite file that workers of many processes, and of many machines, claim runs from.

What a run found lies in its own folder; the store knows states and owners only, so a lost store costs nothing but the
knowledge of what failed.
"""

import contextlib
import math
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Container, Generator, Iterable
from pathlib import Path

import psutil

from labelnoise.runs.config import RunConfig

_HEARTBEAT_SECONDS = 10.0
_SILENCE_SECONDS = 60.0  # after which an owner on another host is taken for dead
_CLOCK_SECONDS = 5  # that a start seems to move when the clock is set
_SMALLEST_STACK = 8  # worth taking: a stack of half as many takes hardly less time
_LARGEST_STACK = 32  # as many copies of the data are in memory

_SCHEMA = """
create table if not exists runs (
    run_id text primary key, config text not null, state text not null default 'left', error text,
    host text, pid integer, started real, heartbeat real
)
"""


RunState = tuple[RunConfig, str]
"""A run, and whether it is ``done``, ``running``, ``failed`` or ``left``."""
Failure = tuple[RunConfig, str]
"""A run, and the error it ended in."""


class Store:
    """The runs of one study; every call opens the file anew, so a store may be handed to another process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as database:
            database.execute("pragma journal_mode = wal")
            database.execute(_SCHEMA)

    def add(self, configs: Iterable[RunConfig], *, finished: Container[RunConfig] = ()) -> None:
        """Put runs in, some of which are known to be ``finished``; what failed or was lost is to be done again."""
        rows = [(config.model_dump_json(), config.run_id, config in finished) for config in configs]
        with self._transaction() as database:
            for config, run_id, is_finished in rows:
                state = "done" if is_finished else "left"
                database.execute("insert or ignore into runs (config, run_id) values (?, ?)", (config, run_id))
                database.execute(
                    "update runs set state = ?, error = null where run_id = ? and state != 'running'", (state, run_id)
                )

    def claim(self, claimants: int = 1, *, wanted: Container[str] | None = None) -> list[RunConfig]:
        """Take a run that nobody works on, or whose owner is dead, and those that are trained with it; else none.

        What nobody has begun comes first, since a run that was cut off may be what killed its worker. ``claimants`` is
        how many share the work: each takes its part of a large stack. ``wanted`` are the ids of the
        runs to choose from, all of them without.
        """
        with self._transaction() as database:
            rows = database.execute(
                "select config, state, host, pid, started, heartbeat from runs "
                "where state in ('left', 'running') order by state, rowid"
            ).fetchall()
            free = (
                RunConfig.model_validate_json(config)
                for config, state, *owner in rows
                if state == "left" or _is_dead(*owner)
            )
            free = (config for config in free if wanted is None or config.run_id in wanted)
            first = next(free, None)
            if first is None:
                return []
            alike = [first, *(config for config in free if first.stacks_with(config))]
            size = min(max(math.ceil(len(alike) / claimants), _SMALLEST_STACK), _LARGEST_STACK)
            for config in alike[:size]:
                database.execute(
                    "update runs set state = 'running', host = ?, pid = ?, started = ?, heartbeat = ? where run_id = ?",
                    (*_this_process(), time.time(), config.run_id),
                )
            return alike[:size]

    def finish(self, config: RunConfig, *, error: str | None = None) -> None:
        """The run is done, or has failed with ``error``."""
        with self._transaction() as database:
            state = "done" if error is None else "failed"
            database.execute("update runs set state = ?, error = ? where run_id = ?", (state, error, config.run_id))

    def states(self) -> list[RunState]:
        """Every run with its state; a run whose owner is dead is left, not running."""
        with self._transaction() as database:
            rows = database.execute("select config, state, host, pid, started, heartbeat from runs").fetchall()
        return [
            (RunConfig.model_validate_json(config), "left" if state == "running" and _is_dead(*owner) else state)
            for config, state, *owner in rows
        ]

    def failures(self) -> list[Failure]:
        """The runs that failed, in the order in which they were put in."""
        with self._transaction() as database:
            rows = database.execute("select config, error from runs where state = 'failed' order by rowid").fetchall()
        return [(RunConfig.model_validate_json(config), error) for config, error in rows]

    @contextlib.contextmanager
    def heartbeat(self) -> Generator[None]:
        """While the block runs, keep telling other hosts that this process is alive."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(_HEARTBEAT_SECONDS):
                # What cannot be told now, as on a full disk, is told with the next beat.
                with contextlib.suppress(sqlite3.Error), self._transaction() as database:
                    database.execute(
                        "update runs set heartbeat = ? where state = 'running' and host = ? and pid = ?",
                        (time.time(), *_this_process()[:2]),
                    )

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._open() as database:
            database.execute("begin immediate")
            yield database
            database.execute("commit")

    @contextlib.contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as database:
                yield database
        except sqlite3.Error as error:  # which says "disk I/O error" of a full disk, and not of which file
            raise type(error)(f"{self.path}: {error}") from None


def _this_process() -> tuple[str, int, float]:
    pid = os.getpid()
    return socket.gethostname(), pid, psutil.Process(pid).create_time()


def _is_dead(host: str, pid: int, started: float, heartbeat: float) -> bool:
    if host != socket.gethostname():
        return time.time() - heartbeat > _SILENCE_SECONDS
    try:
        process = psutil.Process(pid)
        # Else another process has got the same number; the start moves with the clock, when that is set.
        is_another = abs(process.create_time() - started) > _CLOCK_SECONDS
        return is_another or process.status() == psutil.STATUS_ZOMBIE  # which nobody has waited for yet
    except psutil.NoSuchProcess:
        return True
