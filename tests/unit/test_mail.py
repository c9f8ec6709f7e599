"""Messages between a station and its supervisor, when the other side takes its time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

import pytest
from tests.helpers import wait_until

from atomiq.executors.report import Report
from atomiq.stations import mail
from atomiq.stations.mail import Mailbox, mailboxes
from atomiq.worker.posts import watch_mail

REPORT = Report("finished", 1.0, 2.0, result=os.urandom(2_000_000))


@pytest.fixture
def both() -> Iterator[tuple[Mailbox, Mailbox]]:
    ours, theirs = mailboxes()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_report_is_not_given_up(both: tuple[Mailbox, Mailbox], monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that waited for its server for longer than a station had patience was left with half a report, and
    took the beginning of the next one for the other half: it heard of no job of that station's any more."""
    monkeypatch.setattr(mail, "SPEAK_LIMIT", 0.01)
    supervisor, station = both
    said: list[bool] = []
    speaker = threading.Thread(target=lambda: said.extend([station.ended_with("e", REPORT), station.say("look")]))
    speaker.start()
    speaker.join(20 * mail.SPEAK_LIMIT)
    heard: list[tuple[object, ...]] = []
    wait_until(lambda: heard.extend(supervisor.read()) or len(heard) == 2, within=5, what="both messages")
    speaker.join()
    assert heard == [("ended", "e", *REPORT.parts()), ("look",)]
    assert said == [True, True]


def test_what_nobody_begins_to_take_is_given_up(both: tuple[Mailbox, Mailbox], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is sent later: a station runs a job by itself that it can't pass on."""
    monkeypatch.setattr(mail, "SPEAK_LIMIT", 0.01)
    supervisor, station = both
    while station.say("look"):
        pass
    full = len(supervisor.read())
    assert full > 100
    assert station.say("wake")
    assert supervisor.read() == [("wake",)]


def test_who_posts_goes_on_at_once_and_is_told_when_there_is_room(both: tuple[Mailbox, Mailbox]) -> None:
    """In pieces, in order, and without asking for room when there is nothing to send."""
    supervisor, station = both
    texts = [os.urandom(500_000).hex() for _ in range(3)]
    with DefaultSelector() as selector:
        watch_mail(selector, supervisor, supervisor.send_on)
        for text in texts:
            supervisor.post("failed", text)
        key = selector.get_key(supervisor.fd)
        assert key.events == EVENT_READ | EVENT_WRITE
        heard: list[tuple[object, ...]] = []
        while len(heard) < 3:
            for found, _ in selector.select(5):
                found.data()
            heard += station.read()
        assert heard == [("failed", text) for text in texts]
        assert selector.get_key(supervisor.fd).events == EVENT_READ


def test_what_waits_is_forgotten_with_the_station(both: tuple[Mailbox, Mailbox]) -> None:
    """Also when it is no longer listened to, because it spoke nonsense before."""
    supervisor, station = both
    with DefaultSelector() as selector:
        watch_mail(selector, supervisor, supervisor.send_on)
        supervisor.post("failed", "x" * 2_000_000)
        selector.unregister(supervisor.fd)
        station.close()
        supervisor.send_on()
        supervisor.post("wake")
