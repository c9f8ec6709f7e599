"""Rows of the outbox, to be looked at in the admin. They are written and moved by `atomiq.outbox`, not by models."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from atomiq.outbox.table import TABLE


class OutboxRow(models.Model):
    """A job that waits in the database to be moved to Redis, or is parked there."""

    WAITING, PARKED = 0, 1

    id = models.BigAutoField(primary_key=True)
    version = models.SmallIntegerField()
    route = models.CharField(max_length=64)
    session_id = models.BigIntegerField()
    queue = models.CharField(max_length=512)
    job_id = models.CharField(max_length=255)
    token = models.CharField(max_length=32)
    size = models.IntegerField()
    created_ms = models.BigIntegerField()
    payload = models.TextField()
    state = models.SmallIntegerField(choices=[(WAITING, "waiting"), (PARKED, "parked")])
    tries = models.IntegerField()
    not_before_ms = models.BigIntegerField()
    parked_ms = models.BigIntegerField()
    reason = models.CharField(max_length=1000)

    class Meta:
        managed = False
        db_table = TABLE
        ordering: ClassVar[list[str]] = ["id"]
        verbose_name = "outbox row"

    def __str__(self) -> str:
        return f"{self.job_id} for {self.queue}"
