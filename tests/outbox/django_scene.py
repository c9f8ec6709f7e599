"""A Django process with an outbox: transactions, a savepoint, autocommit. Prints what came of them."""

from __future__ import annotations

import sys

import django
from django.conf import settings

from atomiq import Queue, connect, outbox
from atomiq.exceptions import NotInTransaction


def main() -> None:
    """Write jobs in each way; the arguments are a file for the database and the server's URL."""
    path, redis_url = sys.argv[1:]
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": path}
    settings.configure(DATABASES={"default": database}, INSTALLED_APPS=[], USE_TZ=True)
    django.setup()
    from django.db import connection, transaction

    queue = Queue("orders", connection=connect(redis_url))
    outbox.create(connection)
    try:
        outbox.enqueue(connection, queue, "tests.tasks.add", 0, 0)
    except NotInTransaction:
        print("refused")
    with transaction.atomic():
        outbox.enqueue(connection, queue, "tests.tasks.add", 1, 1, job_id="kept")
        try:
            with transaction.atomic():
                outbox.enqueue(connection, queue, "tests.tasks.add", 2, 2, job_id="dropped")
                raise KeyError
        except KeyError:
            print("rolled back")
        print("before", queue.job_ids)
    outbox.finish()
    print("after", queue.job_ids, outbox.figures(connection).waiting)


if __name__ == "__main__":
    main()
