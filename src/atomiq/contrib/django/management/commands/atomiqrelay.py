"""`manage.py atomiqrelay`."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections

from atomiq._core.errors import AtomiqError
from atomiq.contrib.django.conf import get_connection
from atomiq.outbox import Service
from atomiq.outbox.trouble import in_our_words


class Command(BaseCommand):
    help = "Sends the jobs that transactions have left in the outbox of a database. Any number of relays may run."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--using", default=DEFAULT_DB_ALIAS, help="Alias of the database. Default: default.")
        parser.add_argument("--queue", default="default", help="To the server of this queue. Default: default.")
        parser.add_argument("--route", default="", help="Only rows of this route. Default: those without one.")
        parser.add_argument("--burst", action="store_true", help="End when no row is left that can be sent.")
        parser.add_argument("--batch", type=int, default=1000, help="Rows at a time at most. Default: 1000.")
        parser.add_argument("--no-listen", action="store_true", help="Don't have PostgreSQL notify it, only look.")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["using"] not in connections:
            raise CommandError(f"DATABASES has no {options['using']!r}")
        try:
            service = Service(
                connections[options["using"]], get_connection(options["queue"]), options["route"],
                batch=options["batch"], listens=not options["no_listen"],
            )  # fmt: skip
            undo = service.stop_at_signals()
            try:
                with in_our_words():
                    total = service.run(burst=options["burst"])
            finally:
                undo()
        except (AtomiqError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{total.sent} sent, {total.parked} parked, {total.postponed} put off")
