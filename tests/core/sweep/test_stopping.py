"""A sweep is told to stop by signals."""

from __future__ import annotations

import signal
import threading

import pytest

from weft.sweep.stopping import Stopping

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def test_the_first_signal_and_the_others_until_the_last_word() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    heard: list[str] = []
    with Stopping() as stopping:
        with stopping.heard(lambda: heard.append("first"), lambda: heard.append("another")):
            assert stopping.signal == 0
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # nothing raises: there is more to be said
        assert stopping.signal == signal.SIGTERM
    assert heard == ["first", "another", "another"]
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_what_was_not_told_to_stop_can_be_interrupted_after_its_jobs() -> None:
    heard: list[int] = []
    with Stopping() as stopping:
        with stopping.heard(lambda: heard.append(1), lambda: heard.append(2)):
            pass
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not heard
    assert stopping.signal == 0


def test_what_goes_wrong_leaves_the_handlers_as_they_were() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    def fail() -> None:
        with Stopping() as stopping, stopping.heard(lambda: None, lambda: None):
            signal.raise_signal(signal.SIGINT)
            raise OSError

    with pytest.raises(OSError):
        fail()
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_another_thread_hears_none() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    inside: list[object] = []

    def run() -> None:
        with Stopping() as stopping, stopping.heard(lambda: None, lambda: None):
            inside.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert inside == before
