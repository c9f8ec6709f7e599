"""The app itself: settings, checks, commands, the admin, a job's own transaction, and Django's Tasks; run as
django_cases.py is, by test_django.py."""

# ruff: noqa: PT027 - these are unittest's

from __future__ import annotations

import importlib
import io
import os
import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from typing import Any
from unittest import mock

import django
from django.conf import settings

FRAMEWORK = "django.tasks" if django.VERSION >= (6,) else "django_tasks"
OTHER_APPS = ["django_tasks"] if FRAMEWORK == "django_tasks" else []
URL = os.environ["ATOMIQ_CASES_URL"]
FOLDER = tempfile.mkdtemp()

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/rows.sqlite3"}},
    INSTALLED_APPS=[
        "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django.contrib.messages",
        "django.contrib.admin", "atomiq.contrib.django", *OTHER_APPS,
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    TASKS={"default": {"BACKEND": "atomiq.contrib.django.tasks.AtomiqBackend", "QUEUES": ["default", "mail"]}},
    ATOMIQ={"URL": URL},
    SECRET_KEY="for tests",
    STATIC_URL="/static/",
    USE_TZ=True,
    ROOT_URLCONF=__name__,
)  # fmt: skip
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client, TransactionTestCase, override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from tests.tasks import nothing  # noqa: E402

from atomiq import Job, Retry, connect, outbox  # noqa: E402
from atomiq.contrib.django import get_connection, get_queue  # noqa: E402
from atomiq.contrib.django.models import OutboxRow  # noqa: E402
from atomiq.serializers import JSONSerializer  # noqa: E402

tasks, tasks_exceptions, tasks_signals = (
    importlib.import_module(name) for name in (FRAMEWORK, f"{FRAMEWORK}.exceptions", f"{FRAMEWORK}.signals")
)
TaskContext, TaskResultStatus, task = tasks.TaskContext, tasks.TaskResultStatus, tasks.task
default_task_backend = tasks.default_task_backend
InvalidTask = tasks_exceptions.InvalidTask if django.VERSION >= (6,) else tasks_exceptions.InvalidTaskError
TaskResultDoesNotExist = tasks_exceptions.TaskResultDoesNotExist
TaskResultMismatch = tasks_exceptions.TaskResultMismatch
task_enqueued, task_started = tasks_signals.task_enqueued, tasks_signals.task_started
task_finished = tasks_signals.task_finished

call_command("migrate", verbosity=0)
urlpatterns = [path("admin/", admin.site.urls)]


@task()
def add(x: int, y: int = 0) -> int:
    return x + y


@task(queue_name="mail")
async def asleep(name: str) -> str:
    return f"hello {name}"


@task(takes_context=True)
def flaky(context: TaskContext, most: int) -> str:
    if context.attempt <= most:
        raise LookupError(f"attempt {context.attempt}")
    return f"{context.task_result.id} at attempt {context.attempt}"


class Counted(Job):
    def perform(self) -> Any:
        self.meta["performed"] = self.meta.get("performed", 0) + 1
        self.save_meta()
        return super().perform()


def work(*queues: str) -> None:
    call_command("atomiqworker", "--burst", "--quiet", "--executor", "inline", *queues)


def leave_a_row(job_id: str) -> None:
    """As a process does that dies before its nudge."""
    raw = sqlite3.connect(f"{FOLDER}/rows.sqlite3")
    outbox.enqueue(raw, get_queue(), nothing, job_id=job_id)
    raw.commit()
    raw.close()


class Emptied(TransactionTestCase):
    def setUp(self) -> None:
        connect(URL).flushdb()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM atomiq_outbox")


class Settings(Emptied):
    def test_checks_are_silent(self) -> None:
        assert run_checks(tags=["atomiq"]) == []
        call_command("makemigrations", "--check", "--dry-run", "atomiq", verbosity=0)

    def test_the_migration_backwards(self) -> None:
        tables = {"atomiq_outbox", "atomiq_outbox_meta", "atomiq_job_marks"}
        call_command("migrate", "atomiq", "zero", verbosity=0)
        assert not tables & set(connection.introspection.table_names())
        call_command("migrate", "atomiq", verbosity=0)
        assert tables <= set(connection.introspection.table_names())

    def found(self, **given: Any) -> list[str]:
        with override_settings(**given):
            return [str(message.id) for message in run_checks(tags=["atomiq"])]

    def test_checks(self) -> None:
        assert self.found(ATOMIQ={"URL": "redis://localhost:1"}) == ["atomiq.W005"]
        assert self.found(ATOMIQ={"URL": URL, "QUEUES": {"default": {"DEFUALT_TIMEOUT": 1}}}) == ["atomiq.W002"]
        assert self.found(ATOMIQ={"URL": URL, "ON_COMMIT": "else"}) == ["atomiq.E002"]
        assert self.found(ATOMIQ=[]) == ["atomiq.E001"]
        assert self.found(ATOMIQ={"PORT": 7, "DB": 3}) == ["atomiq.E001"]  # went to the environment's server, unheard
        assert self.found(ATOMIQ={"URL": URL, "USE_REDIS_CACHE": "x"}) == ["atomiq.E001"]
        settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
        assert self.found(ATOMIQ={"URL": URL, "ON_COMMIT": False}) == ["atomiq.W004"]
        settings.DATABASES["default"]["ATOMIC_REQUESTS"] = False
        rq = {"default": {"URL": URL}}
        assert self.found(ATOMIQ=None, RQ_QUEUES=rq, RQ={"COMMIT_MODE": "request_finished"}) == ["atomiq.W003"]
        os.environ["ATOMIQ_URL"] = URL
        assert self.found(ATOMIQ=None) == ["atomiq.W001"]
        del os.environ["ATOMIQ_URL"]

    def test_the_form_of_django_rq(self) -> None:
        queues = {
            "default": {"HOST": "db.example", "PORT": 7, "DB": 3, "PASSWORD": "p/w", "DEFAULT_TIMEOUT": 360},
            "sentinel": {"SENTINELS": [("one", 1), ("two", 2)], "MASTER_NAME": "m", "DB": 1, "SOCKET_TIMEOUT": 0.5},
            "unix": {"UNIX_SOCKET_PATH": "/tmp/s", "DB": 2, "ASYNC": False, "SERIALIZER": "json"},
        }
        with override_settings(ATOMIQ=None, RQ_QUEUES=queues, RQ={"COMMIT_MODE": "auto"}):
            said = get_connection().connection_pool.connection_kwargs
            assert (said["host"], said["port"], said["db"], said["password"]) == ("db.example", 7, 3, "p/w")
            assert get_queue().create_job(nothing).timeout == 360
            assert get_queue().on_commit is None
            assert get_connection("sentinel").connection_pool.service_name == "m"
            unix = get_queue("unix")
            assert unix.connection.connection_pool.connection_kwargs["path"] == "/tmp/s"
            assert (unix.is_async, unix.create_job(nothing).serializer.__name__) == (False, "JSONSerializer")
            with self.assertRaisesRegex(ImproperlyConfigured, "'sentinel'"):
                get_queue("none")
            with self.assertRaises(KeyError):
                get_queue("none")
        with override_settings(ATOMIQ=None, RQ_QUEUES=queues):
            assert get_queue().on_commit is not None


class Commands(Emptied):
    def test_worker_and_info(self) -> None:
        job = get_queue("mail").enqueue(nothing)
        work("mail")
        assert job.is_finished
        call_command("atomiqinfo", "--raw")
        with self.assertRaisesRegex(CommandError, "No such option"):
            call_command("atomiqworker", "--brust")
        with self.assertRaisesRegex(CommandError, "no.such.config"):
            call_command("atomiqcron", "no.such.config")

    def test_its_exit_code(self) -> None:
        """It was 0 where that of `atomiq worker` is 1: whoever had started it heard of no error."""
        with self.assertRaises(SystemExit) as end:
            call_command("atomiqworker", "--burst", "--dequeue-strategy", "nonsense")
        assert end.exception.code == 1

    def test_the_classes_of_the_settings(self) -> None:
        """A worker didn't know of JOB_CLASS, and of a SERIALIZER only by its name: it read each job with pickle."""
        said = {"URL": URL, "SERIALIZER": JSONSerializer, "JOB_CLASS": f"{__name__}.Counted"}
        with override_settings(ATOMIQ=said):
            job = get_queue().enqueue(nothing)
            work("default")
            assert (job.get_status(), job.get_meta()) == ("finished", {"performed": 1})
        nameless = {**said, "SERIALIZER": JSONSerializer()}
        with override_settings(ATOMIQ=nameless), self.assertRaisesRegex(CommandError, "SERIALIZER can't be given"):
            work("default")
        two = {"URL": URL, "QUEUES": {"a": {"SERIALIZER": "json"}, "b": {}}}
        with override_settings(ATOMIQ=two), self.assertRaisesRegex(CommandError, "a, b have not the same SERIALIZER"):
            work("a", "b")

    def test_two_servers_need_two_workers(self) -> None:
        queues = {"a": {"URL": URL}, "b": {"URL": "redis://localhost:1"}}
        with override_settings(ATOMIQ={"QUEUES": queues}), self.assertRaisesRegex(CommandError, "different servers"):
            call_command("atomiqworker", "a", "b")

    def test_relay(self) -> None:
        leave_a_row("from-the-outbox")
        assert get_queue().count == 0
        said = io.StringIO()
        call_command("atomiqrelay", "--burst", stdout=said)
        assert said.getvalue() == "1 sent, 0 parked, 0 put off\n"
        assert get_queue().job_ids == ["from-the-outbox"]
        with self.assertRaisesRegex(CommandError, "nowhere"):
            call_command("atomiqrelay", "--using", "nowhere")
        outbox.finish()


class Admin(Emptied):
    def test_rows_of_the_outbox(self) -> None:
        client = Client()
        client.force_login(User.objects.create_superuser("boss"))
        leave_a_row("seen-in-the-admin")
        row = OutboxRow.objects.get()
        OutboxRow.objects.update(state=OutboxRow.PARKED, reason="for a test")
        page = client.get("/admin/atomiq/outboxrow/")
        self.assertContains(page, "seen-in-the-admin")
        self.assertContains(page, "for a test")
        self.assertContains(client.get(f"/admin/atomiq/outboxrow/{row.pk}/change/"), "seen-in-the-admin")
        chosen = {"action": "send_after_all", "_selected_action": [row.pk]}
        self.assertContains(client.post("/admin/atomiq/outboxrow/", chosen, follow=True), "1 rows wait again")
        assert OutboxRow.objects.get().state == OutboxRow.WAITING
        outbox.finish()


class OwnTransaction(Emptied):
    def test_once(self) -> None:
        job = get_queue().enqueue(nothing)
        for done in (False, True):
            with Job.fetch(job.id, connection=job.connection).transaction(using="default") as mine:
                assert mine.done is done
                Group.objects.create(name=f"work, {done}")
                get_queue().enqueue(nothing)
                mine.result = 7
            assert mine.result == 7
        assert Group.objects.count() == 1
        with self.assertRaises(ZeroDivisionError), job.transaction(using="default", step="fails"):
            Group.objects.create(name="rolled back")
            raise ZeroDivisionError
        assert Group.objects.count() == 1
        with transaction.atomic(), self.assertRaises(RuntimeError):
            job.transaction(using="default", step="nested").__enter__()
        outbox.finish()
        assert OutboxRow.objects.count() + get_queue().count == 2

    def test_it_writes_after_somebody_elses_commit(self) -> None:
        """The look for the mark stayed open as a read of the transaction. When our own relay, in a thread of this
        process, had committed since, the job's first write was refused at once: "database is locked"."""
        job = get_queue().enqueue(nothing)
        with closing(sqlite3.connect(f"{FOLDER}/rows.sqlite3", timeout=0)) as relay, job.transaction(using="default"):
            relay.execute("INSERT INTO auth_group (name) VALUES ('of the relay')")
            relay.commit()
            Group.objects.create(name="work")
        assert sorted(Group.objects.values_list("name", flat=True)) == ["of the relay", "work"]

    def test_two_runs_at_the_same_time(self) -> None:
        """SQLite has no room for both, so the second is one that did not see the first's mark when it looked."""
        job = get_queue().enqueue(nothing)
        with Job.fetch(job.id, connection=job.connection).transaction(using="default") as mine:
            mine.result = "quick"
        late = job.transaction(using="default")
        with mock.patch.object(late, "_look"):
            late.__enter__()
        Group.objects.create(name="slow")
        late.result = "slow"
        late.__exit__(None, None, None)
        assert (late.done, late.result) == (True, "quick")
        assert (connection.in_atomic_block, Group.objects.count()) == (False, 0)


class Tasks(Emptied):
    """What Django says that a backend does."""

    def test_features(self) -> None:
        backend = default_task_backend
        flags = ("supports_defer", "supports_async_task", "supports_get_result", "supports_priority")
        assert [getattr(backend, name) for name in flags] == [True, True, True, False]

    def test_enqueue_run_refresh(self) -> None:
        result = add.enqueue(2, y=3)
        assert (result.status, result.is_finished, result.attempts) == (TaskResultStatus.READY, False, 0)
        assert result.enqueued_at is not None
        assert (result.args, result.kwargs, result.backend, result.task) == ([2], {"y": 3}, "default", add)
        assert len(result.id) < 64
        with self.assertRaises(ValueError):
            _ = result.return_value
        work()
        assert result.status == TaskResultStatus.READY
        result.refresh()
        assert (result.status, result.return_value, result.attempts) == (TaskResultStatus.SUCCESSFUL, 5, 1)
        assert result.enqueued_at <= result.started_at <= result.finished_at
        assert result.last_attempted_at == result.started_at
        assert result.worker_ids != []
        assert result.errors == []
        job = get_queue().fetch_job(result.id)
        assert job is not None
        assert job.description == f"{__name__}.add(2, y=3)"

    def test_get_result(self) -> None:
        result = add.enqueue(1)
        assert add.get_result(result.id) == result
        assert default_task_backend.get_result(result.id).task == add
        with self.assertRaises(TaskResultMismatch):
            asleep.get_result(result.id)
        other = get_queue().enqueue(nothing)
        for missing in ("no-such-id", "123", other.id):
            with self.assertRaises(TaskResultDoesNotExist):
                add.get_result(missing)

    def test_failure_and_retries(self) -> None:
        result = flaky.enqueue(1)
        work()
        result.refresh()
        assert (result.status, result.attempts, len(result.errors)) == (TaskResultStatus.FAILED, 1, 1)
        assert result.errors[0].exception_class is LookupError
        assert "attempt 1" in result.errors[0].traceback
        with self.assertRaises(ValueError):
            _ = result.return_value
        default_task_backend.options["JOB"] = {"retry": Retry(max=2)}
        try:
            again = flaky.enqueue(1)
        finally:
            del default_task_backend.options["JOB"]
        work()
        again.refresh()
        assert (again.status, again.attempts, len(again.errors)) == (TaskResultStatus.SUCCESSFUL, 2, 1)
        assert again.return_value == f"{again.id} at attempt 2"

    def test_coroutines_queues_and_run_after(self) -> None:
        result = asleep.enqueue("you")
        later = add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1)
        mailed = add.using(queue_name="mail").enqueue(1)
        assert get_queue("mail").job_ids == [result.id, mailed.id]
        assert get_queue().scheduled_job_registry.get_job_ids() == [later.id]
        work("mail")
        result.refresh()
        assert result.return_value == "hello you"
        assert add.get_result(mailed.id).task.queue_name == "mail"

    def test_what_is_refused(self) -> None:
        with self.assertRaises(InvalidTask):
            add.using(priority=5)
        with self.assertRaises(InvalidTask):
            add.using(queue_name="unknown")
        with self.assertRaises(TypeError):
            add.enqueue(object())
        assert get_queue().count == 0

    def test_after_commit_and_signals(self) -> None:
        seen: list[tuple[str, str]] = []
        for signal in (task_enqueued, task_started, task_finished):
            signal.connect(
                lambda task_result, signal, **_: seen.append((_name(signal), str(task_result.status))), weak=False
            )
        with transaction.atomic():
            result = add.enqueue(1)
            assert (result.enqueued_at, get_queue().count, seen) == (None, 0, [])
        assert get_queue().job_ids == [result.id]
        assert result.enqueued_at is not None
        work()
        assert seen == [("enqueued", "READY"), ("started", "RUNNING"), ("finished", "SUCCESSFUL")]
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            add.enqueue(1)
            raise ZeroDivisionError
        assert (get_queue().count, len(seen)) == (0, 3)

    def test_check(self) -> None:
        with override_settings(ATOMIQ={"URL": URL, "QUEUES": {"default": {}}}):
            assert [message.id for message in default_task_backend.check()] == ["atomiq.E003"]


def _name(signal: Any) -> str:
    return {task_enqueued: "enqueued", task_started: "started", task_finished: "finished"}[signal]
