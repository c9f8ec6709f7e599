"""The tables of the outbox and of jobs' own transactions; the same as `atomiq outbox create` makes."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models

from atomiq.outbox.table import DDL, MARKS, META_TABLE, TABLE


def create(_apps: Any, schema_editor: Any) -> None:
    """Nothing on databases that the outbox doesn't know."""
    vendor = schema_editor.connection.vendor
    if vendor in DDL:
        for statement in DDL[vendor]:
            schema_editor.execute(statement)


def drop(_apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor in DDL:
        for table in (TABLE, META_TABLE, MARKS):
            schema_editor.execute(f"DROP TABLE IF EXISTS {table}")


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar[list[Any]] = []
    operations: ClassVar[list[Any]] = [
        migrations.RunPython(create, drop),
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("version", models.SmallIntegerField()),
                ("route", models.CharField(max_length=64)),
                ("session_id", models.BigIntegerField()),
                ("queue", models.CharField(max_length=512)),
                ("job_id", models.CharField(max_length=255)),
                ("token", models.CharField(max_length=32)),
                ("size", models.IntegerField()),
                ("created_ms", models.BigIntegerField()),
                ("payload", models.TextField()),
                ("state", models.SmallIntegerField(choices=[(0, "waiting"), (1, "parked")])),
                ("tries", models.IntegerField()),
                ("not_before_ms", models.BigIntegerField()),
                ("parked_ms", models.BigIntegerField()),
                ("reason", models.CharField(max_length=1000)),
            ],
            options={"verbose_name": "outbox row", "db_table": TABLE, "ordering": ["id"], "managed": False},
        ),
    ]
