"""The config that processes of tests share."""

from __future__ import annotations

from tests import tasks

from atomiq.cron import register

register(tasks.add, "q", args=(1, 2), interval=0.25, name="quick", missed="all")
register(tasks.add, "q", args=(1, 2), cron="* * * * * *", timezone="Asia/Kolkata", name="seconds", missed="all")
