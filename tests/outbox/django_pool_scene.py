"""A Django process whose connections come from psycopg's pool: a relay that comes and goes leaves requests theirs."""

from __future__ import annotations

import sys

import django
from django.conf import settings

from atomiq.outbox.database import Database

POOL = {"min_size": 1, "max_size": 2, "timeout": 5}


def main() -> None:
    """Connect as a relay does, more often than the pool has places, then as a request does."""
    [folder] = sys.argv[1:]
    database = {"ENGINE": "django.db.backends.postgresql", "HOST": folder, "USER": "postgres", "NAME": "postgres"}
    settings.configure(DATABASES={"default": {**database, "OPTIONS": {"pool": POOL}}}, INSTALLED_APPS=[], USE_TZ=True)
    django.setup()
    from django.db import connection

    relays = Database.of(connection)
    for number in range(5):
        link = relays.link()
        print(link.run(f"SELECT {number}"))
        link.run("LISTEN something")
        link.commit()
        link.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_listening_channels()")
        print(cursor.fetchall())
    connection.close()
    connection.close_pool()


if __name__ == "__main__":
    main()
