"""Frames from a process that goes away."""

from __future__ import annotations

import os
import socket

from atomiq.executors.report import FrameReader, Report, limit_frame, report_of


def test_frames_in_pieces_and_the_end() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    report = Report("released", 1.0, 2.5)
    data = limit_frame(5.0) + report.as_frame()
    frames = FrameReader(reader)
    os.write(writer, data[:10])
    assert list(frames.read()) == []
    os.write(writer, data[10:])
    limit, said = frames.read()
    assert limit == ("limit", 5.0)
    assert report_of(said) == report
    assert not frames.ended
    os.close(writer)
    assert list(frames.read()) == []
    assert frames.ended
    os.close(reader)


def test_the_other_end_of_a_socket_is_gone_with_mail_unread() -> None:
    """The kernel resets such a connection; the supervisor died of it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ours.send(b"never read")
    theirs.close()
    frames = FrameReader(ours.fileno())
    assert list(frames.read()) == []
    assert frames.ended
    ours.close()
