"""Locks: one process at a time, and nothing is left of one that was killed."""

import errno
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from twostage.errors import InputError
from twostage.system.locks import acquire_now, held

ROOT = Path(__file__).parents[1]
HOLDER = (
    "import sys; from twostage.system.locks import acquire_now\n"
    "lock = acquire_now(sys.argv[1]); print('held', flush=True); input()"
)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_reported(number, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    for attempt in (acquire_now, lambda path: held(path.parent).__enter__()):
        with pytest.raises(InputError, match="on a file system without locks"):
            attempt(tmp_path / ".lock")


def test_a_lock_is_exclusive_and_vanishes_with_its_process(tmp_path, holder):
    with pytest.raises(TimeoutError):
        acquire_now(tmp_path / ".lock")
    holder.kill()
    holder.wait()
    acquire_now(tmp_path / ".lock").release()


def test_a_lock_of_this_process_is_refused_until_its_release(tmp_path):
    lock = acquire_now(tmp_path / ".lock")
    with pytest.raises(TimeoutError):
        acquire_now(tmp_path / ".lock")
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    second = acquire_now(tmp_path / ".lock")
    lock.release()  # has no part in it any more
    with pytest.raises(TimeoutError):
        acquire_now(tmp_path / ".lock")
    second.release()
    second.release()


def test_held_waits_and_logs_that_it_waits(tmp_path, holder, caplog):
    caplog.set_level(logging.INFO, "twostage")
    order = []

    def end():
        order.append("released")
        holder.communicate("\n")

    class ReleaseOnceWaiting(logging.Handler):
        def emit(self, record):
            end()

    with held(tmp_path, "another"):  # has a lock of its own
        assert not caplog.records
    logger, release = logging.getLogger("twostage"), ReleaseOnceWaiting()
    logger.addHandler(release)
    try:
        with held(tmp_path):
            order.append("held")
    finally:
        logger.removeHandler(release)
    assert order == ["released", "held"]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        f"waiting for another process that works in {tmp_path}"
    )
    with pytest.raises(ValueError), held(tmp_path):
        raise ValueError
    acquire_now(tmp_path / ".lock").release()
