"""Django's own test cases around `enqueue_on_commit`; test_django.py runs them in a process of their own, as Django is
configured once for a process."""

# ruff: noqa: PT027 - these are unittest's

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any

import django
from django.conf import settings

URL = os.environ["ATOMIQ_CASES_URL"]
FOLDER = tempfile.mkdtemp()

settings.configure(
    DATABASES={
        alias: {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{FOLDER}/{alias}.sqlite3",
            "TEST": {"NAME": f"{FOLDER}/{alias}.sqlite3"},
        }
        for alias in ("default", "other")
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "atomiq.contrib.django"],
    ATOMIQ={"URL": URL, "QUEUES": {"default": {}, "mail": {"DEFAULT_TIMEOUT": 77}, "at_once": {"ON_COMMIT": False}}},
    SECRET_KEY="for tests",
    USE_TZ=True,
    ROOT_URLCONF=__name__,
)
django.setup()

from asgiref.sync import sync_to_async  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections, transaction  # noqa: E402
from django.db.transaction import TransactionManagementError  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import AsyncClient, TestCase, TransactionTestCase  # noqa: E402
from django.urls import path  # noqa: E402
from tests.tasks import nothing  # noqa: E402

from atomiq import Queue, aio, connect  # noqa: E402
from atomiq.contrib.django import DjangoCommit, enqueue, enqueue_on_commit, get_connection, get_queue, job  # noqa: E402
from atomiq.exceptions import NotEnqueued  # noqa: E402

for alias in ("default", "other"):
    call_command("migrate", database=alias, verbosity=0)

SEEN: list[Any] = []


def place_order(name: str, fail: bool) -> str:
    """What a view does in a thread of its own."""
    with transaction.atomic():
        Group.objects.create(name=name)
        made = enqueue_on_commit("default", nothing, job_id=name)
        SEEN.append((name, get_queue().count))
        if fail:
            raise RuntimeError("no stock")
    return made.id


async def order(request: HttpRequest) -> HttpResponse:
    """An async view: the transaction lives in a thread."""
    fail = "fail" in request.GET
    return HttpResponse(await sync_to_async(place_order)(request.GET["name"], fail))


async def order_by_asyncio(_request: HttpRequest) -> HttpResponse:
    """An async view with an asyncio queue, in a transaction that spans awaits."""
    client = aio.connect(URL)
    queue = aio.Queue(connection=client, on_commit="django")
    atomic = transaction.atomic()
    await sync_to_async(atomic.__enter__)()
    made = await queue.enqueue(nothing, job_id="of-asyncio")
    SEEN.append(("of-asyncio", await queue.count()))
    await sync_to_async(atomic.__exit__)(None, None, None)
    SEEN.append(("of-asyncio", await queue.count()))
    await client.aclose()
    return HttpResponse(made.id)


urlpatterns = [path("order", order), path("asyncio", order_by_asyncio)]


@job("mail", timeout=5)
def decorated() -> None:
    """A job of the queue `mail`."""


class Emptied:
    def setUp(self) -> None:
        connect(URL).flushdb()
        SEEN.clear()


class AfterCommit(Emptied, TransactionTestCase):
    databases = ("default", "other")

    def queued(self) -> list[str]:
        return get_queue().job_ids

    def test_commit_and_rollback(self) -> None:
        with transaction.atomic():
            sent = enqueue_on_commit("default", nothing)
            assert (sent.get_status(refresh=False), self.queued()) == ("created", [])
        assert self.queued() == [sent.id]
        assert sent.get_status(refresh=False) == "queued"
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            enqueue_on_commit("default", nothing)
            raise ZeroDivisionError
        assert self.queued() == [sent.id]

    def test_autocommit_sends_at_once(self) -> None:
        sent = enqueue_on_commit("default", nothing)
        assert self.queued() == [sent.id]
        assert sent.get_status(refresh=False) == "queued"

    def test_manual_transactions_are_refused(self) -> None:
        connection = connections["default"]
        connection.set_autocommit(False)
        try:
            with self.assertRaisesRegex(TransactionManagementError, "manual"):
                enqueue_on_commit("default", nothing)
        finally:
            connection.rollback()
            connection.set_autocommit(True)

    def test_savepoints(self) -> None:
        with transaction.atomic():
            enqueue_on_commit("default", nothing, job_id="1")
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                enqueue_on_commit("default", nothing, job_id="dropped")
                with transaction.atomic():
                    enqueue_on_commit("default", nothing, job_id="released-then-dropped")
                raise ZeroDivisionError
            with transaction.atomic():
                enqueue_on_commit("default", nothing, job_id="2")
            assert self.queued() == []
        assert self.queued() == ["1", "2"]

    def scripts(self) -> int:
        stats: Any = connect(URL).info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))

    def test_one_round_trip(self) -> None:
        """Also after a savepoint's rollback, of what comes before and after it."""
        before = self.scripts()
        with transaction.atomic():
            for number in range(5):
                enqueue_on_commit("default", nothing, job_id=f"{number}")
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                enqueue_on_commit("default", nothing, job_id="dropped")
                raise ZeroDivisionError
            for number in range(5, 10):
                enqueue_on_commit("default", nothing, job_id=f"{number}")
            get_queue().enqueue_many(
                [Queue.prepare_data(nothing, job_id="10"), Queue.prepare_data(nothing, job_id="11")]
            )
        assert self.scripts() - before == 1
        assert self.queued() == [f"{number}" for number in range(12)]

    def test_callbacks_of_others_keep_their_turn(self) -> None:
        """One that raises keeps those behind it from being called, as ever; the jobs before it are in the queue."""

        def look() -> None:
            SEEN.append(self.queued())
            raise RuntimeError("a callback of somebody else")

        with self.assertRaisesRegex(RuntimeError, "somebody"), transaction.atomic():
            enqueue_on_commit("default", nothing, job_id="1")
            transaction.on_commit(look)
            enqueue_on_commit("default", nothing, job_id="2")
        assert SEEN == [["1"]]
        assert self.queued() == ["1"]

    def test_a_transaction_inside_a_callback(self) -> None:
        """What an inner transaction has dropped is not taken for what comes next."""

        def inner() -> None:
            try:
                with transaction.atomic():
                    enqueue_on_commit("default", nothing, job_id="dropped")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                SEEN.append("rolled back")

        with transaction.atomic():
            enqueue_on_commit("default", nothing, job_id="1")
            transaction.on_commit(inner)
            enqueue_on_commit("default", nothing, job_id="2")
            enqueue_on_commit("default", nothing, job_id="3")
        assert SEEN == ["rolled back"]
        assert self.queued() == ["1", "2", "3"]

    def test_each_database_has_its_own(self) -> None:
        with transaction.atomic(using="other"):
            enqueue_on_commit("default", nothing, job_id="other", using="other")
            enqueue_on_commit("default", nothing, job_id="at-once")
            Queue(connection=get_connection(), on_commit="django:other").enqueue(nothing, job_id="other-2")
            assert self.queued() == ["at-once"]
        assert self.queued() == ["at-once", "other", "other-2"]

    def test_the_server_is_down(self) -> None:
        """Rows are there, and the end of the block says which jobs are not. With robust=True Django logs it."""
        nowhere = Queue(connection=connect("redis://localhost:1"))
        called: list[str] = []
        with self.assertRaisesRegex(NotEnqueued, "2 of its jobs") as raised, transaction.atomic():
            Group.objects.create(name="kept")
            jobs = [enqueue_on_commit(nowhere, nothing) for _ in range(2)]
        assert raised.exception.jobs == jobs
        assert Group.objects.filter(name="kept").exists()
        with self.assertLogs("django.db.backends.base", "ERROR") as logs, transaction.atomic():
            lost = enqueue_on_commit(nowhere, nothing, robust=True)
            transaction.on_commit(lambda: called.append("next"))
        assert called == ["next"]
        assert lost.id in logs.output[0]

    def test_queues_of_the_settings(self) -> None:
        with transaction.atomic():
            waiting = enqueue(nothing)
            mailed = decorated.delay()
            get_queue("at_once").enqueue(nothing)
            sooner = get_queue(on_commit=None).enqueue(nothing)
            assert (get_queue("mail").count, get_queue("at_once").count, self.queued()) == (0, 1, [sooner.id])
        assert self.queued() == [sooner.id, waiting.id]
        assert get_queue("mail").job_ids == [mailed.id]
        assert mailed.timeout == 5
        assert get_queue("mail").create_job(nothing).timeout == 77
        assert get_queue("mail").connection is get_queue().connection

    def test_a_decorator_with_a_queue_or_a_connection(self) -> None:
        """A queue raised TypeError for want of a connection, and so did a name with None for one."""
        mail = get_queue("mail")
        made = [
            job(mail, timeout=60)(nothing).delay(),
            job("mail", None, 60)(nothing).delay(),
            job("elsewhere", mail.connection, 60)(nothing).delay(),
        ]
        assert [(each.origin, each.timeout) for each in made] == [("mail", 60), ("mail", 60), ("elsewhere", 60)]

    def test_async_views(self) -> None:
        async def ask() -> None:
            client = AsyncClient(raise_request_exception=False)
            assert (await client.get("/order?name=a")).content == b"a"
            assert (await client.get("/order?name=b&fail=1")).status_code == 500
            assert (await client.get("/asyncio")).content == b"of-asyncio"

        asyncio.run(ask())
        assert SEEN == [("a", 0), ("b", 1), ("of-asyncio", 1), ("of-asyncio", 2)]
        assert self.queued() == ["a", "of-asyncio"]
        assert [group.name for group in Group.objects.all()] == ["a"]


class InATestCase(Emptied, TestCase):
    """Its transaction never commits; Django's way to see what would have happened works with jobs."""

    def test_captured(self) -> None:
        enqueue_on_commit("default", nothing, job_id="before")
        with self.captureOnCommitCallbacks() as callbacks:
            enqueue_on_commit("default", nothing, job_id="not-executed")
        assert len(callbacks) == 1
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            enqueue_on_commit("default", nothing, job_id="1")
            enqueue_on_commit("default", nothing, job_id="2")
        assert len(callbacks) == 2
        assert get_queue().job_ids == ["1", "2"]

    def test_always_on_commit(self) -> None:
        queue = Queue(connection=get_connection(), on_commit=DjangoCommit(robust=True))
        with self.captureOnCommitCallbacks(execute=True):
            made = queue.enqueue(nothing)
            assert queue.count == 0
        assert queue.job_ids == [made.id]
