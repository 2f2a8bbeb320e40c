"""Bars on a terminal, lines in the log elsewhere."""

import io
import logging

import pytest

from twostage.cli.errors import log_to_terminal
from twostage.system.progress import announced, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_terminal(monkeypatch):
    """Output from now on, of both streams, as on one terminal."""
    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def test_items_pass_and_the_work_is_logged_once(caplog):
    with caplog.at_level(logging.INFO, "twostage"):
        assert list(progress(range(0, 10, 4), "decoding")) == [0, 4, 8]
    assert caplog.messages == ["decoding"]


def test_a_single_item_is_worked_through_in_silence(caplog, monkeypatch):
    terminal = on_terminal(monkeypatch)
    with caplog.at_level(logging.INFO, "twostage"):
        assert list(progress([7], "decoding")) == [7]
    assert caplog.messages == [] and terminal.getvalue() == ""


def test_on_a_terminal_a_bar_comes_and_goes(caplog, monkeypatch):
    terminal = on_terminal(monkeypatch)
    with caplog.at_level(logging.INFO, "twostage"):
        assert list(progress(range(3), "decoding")) == [0, 1, 2]
    last = terminal.getvalue().split("\r")[-2:]
    assert "decoding:   0%" in terminal.getvalue() and not "".join(last).strip()
    assert caplog.messages == [] and "\n" not in terminal.getvalue()


def test_a_bar_goes_when_the_work_fails(monkeypatch):
    terminal = on_terminal(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        for item in progress(range(3), "decoding"):
            1 / (item - 1)
    assert "decoding:" in terminal.getvalue()
    assert not "".join(terminal.getvalue().split("\r")[-2:]).strip()


def test_work_that_cannot_be_counted_is_named(monkeypatch):
    terminal = on_terminal(monkeypatch)
    with announced("fitting"):
        assert terminal.getvalue().strip() == "fitting ..."
    assert not terminal.getvalue().split("\r")[-2].strip()


def test_work_that_cannot_be_counted_is_logged(caplog):
    with caplog.at_level(logging.INFO, "twostage"), announced("fitting"):
        pass
    assert caplog.messages == ["fitting"]


def test_what_is_logged_stands_above_the_bar(monkeypatch):
    terminal = on_terminal(monkeypatch)
    with log_to_terminal():
        for _ in progress(range(2), "decoding"):
            logging.getLogger("twostage.models").info("a line")
    pieces = terminal.getvalue().replace("\n", "\r").split("\r")
    assert pieces.count("a line") == 2
