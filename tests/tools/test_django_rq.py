"""django-rq in a real project: queues from its settings, management commands, the admin's pages over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import redis
from tests.helpers import wait_until
from tests.tools.django_project import make_project
from tests.tools.programs import Programs, Site, free_port
from tests.tools.states import one_of_each

from atomiq import Job, JobStatus, Queue

NAMES = ["default", "mail", "now"]
JOBS = "/django-rq/queues/0"
FIGURES = {
    "name": "default", "jobs": 2, "started_jobs": 1, "finished_jobs": 1, "failed_jobs": 2, "deferred_jobs": 1,
    "scheduled_jobs": 1,
}  # fmt: skip
PAGES = {
    "": ["a-queued", "a-queued2"],
    "started/": ["a-started"],
    "finished/": ["a-finished"],
    "failed/": ["a-failed", "a-failed2"],
    "deferred/": ["a-deferred"],
    "scheduled/": ["a-scheduled"],
}


@pytest.fixture(scope="module")
def project_url(tcp_port: int) -> str:
    """A database of its own, for the time of this module."""
    return f"redis://127.0.0.1:{tcp_port}/15"


@pytest.fixture(scope="module")
def project(project_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """The project, its database filled."""
    with Programs(tmp_path_factory.mktemp("django"), project_url) as made:
        make_project(made)
        yield made


@pytest.fixture(scope="module")
def served(project: Programs) -> Site:
    """Its web server, and the superuser logged in."""
    port = free_port()
    site = project.serve("manage.py", "runserver", "--noreload", f"127.0.0.1:{port}", port=port)
    site.get("/admin/login/")
    assert "Log out" in site.post("/admin/login/?next=/admin/", {"username": "admin", "password": "secret"})
    return site


@pytest.fixture
def connection(project_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(project_url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def queue(connection: redis.Redis) -> Queue:
    """The queue `default`, with something of each kind."""
    return Queue(connection=connection)


def enqueue(project: Programs, text: str) -> list[str]:
    """Python with the project set up; says what it has printed."""
    start = "import django; django.setup(); import django_rq, shop.jobs\n"
    return project.run("-c", start + text, DJANGO_SETTINGS_MODULE="shop.settings").split()


def test_queues_from_settings_and_rqworker(project: Programs, connection: redis.Redis) -> None:
    """Time limit, serializer, job class, exception handlers and logging of the settings; the ORM in a job."""
    said = enqueue(
        project,
        "print(django_rq.enqueue(shop.jobs.count_users).id)\n"
        "print(django_rq.get_queue('mail').enqueue(shop.jobs.send, 'you').id)\n"
        "print(shop.jobs.send.delay('them').id)\n"
        "print(django_rq.enqueue(shop.jobs.boom).id)\n"
        "print(django_rq.get_queue('now').enqueue(shop.jobs.add, 2, 3).return_value())\n",
    )
    assert said[-1] == "5"
    assert Job.fetch(said[0], connection=connection).timeout == 77
    log = project.run("manage.py", "rqworker", "--burst", *NAMES)
    assert "[shop] rq.worker" in log
    assert Job.fetch(said[0], connection=connection).return_value() == 1
    sent = [Job.fetch(job_id, connection=connection).return_value() for job_id in said[1:3]]
    assert sent == [
        {"to": "you", "class": "ShopJob", "timeout": 180},
        {"to": "them", "class": "ShopJob", "timeout": 55},
    ]
    assert Job.fetch(said[3], connection=connection).get_status() is JobStatus.FAILED
    assert connection.get(f"noted:{said[3]}") == b"ValueError: boom"


def test_commands(project: Programs, connection: redis.Redis) -> None:
    project.run("manage.py", "rqenqueue", "--queue", "default", "--timeout", "33", "shop.jobs.count_users")
    (job_id,) = Queue(connection=connection).job_ids
    assert Job.fetch(job_id, connection=connection).timeout == 33
    said = enqueue(
        project,
        "from django.core.management import call_command\n"
        "call_command('rqsuspend'); print(django_rq.get_connection().exists('rq:suspended'))\n"
        "call_command('rqresume'); print(django_rq.get_connection().exists('rq:suspended'))\n"
        "call_command('rqstats', json=True)\n",
    )
    suspended = [word for word in said if word in ("0", "1")]
    assert suspended[:2] == ["1", "0"]
    stats = json.loads("".join(said[said.index('{"queues":') :]))
    assert [(each["name"], each["jobs"]) for each in stats["queues"]] == [("default", 1), ("mail", 0), ("now", 0)]
    project.run("manage.py", "rqworker-pool", "--num-workers", "2", "--burst", "default")
    assert Job.fetch(job_id, connection=connection).return_value() == 1


def test_delayed_jobs(project: Programs, connection: redis.Redis) -> None:
    """`--with-scheduler` as in the handbook."""
    worker = project.start("manage.py", "rqworker", "--with-scheduler", "default")
    (job_id,) = enqueue(
        project,
        "from datetime import timedelta\n"
        "print(django_rq.get_queue().enqueue_in(timedelta(seconds=0.3), shop.jobs.add, 1, 1).id)\n",
    )
    wait_until(lambda: Job.fetch(job_id, connection=connection).is_finished, within=40, what="the job has run")
    project.stop(worker)


def test_figures(served: Site, queue: Queue) -> None:
    one_of_each(queue.connection, "default", "a-")
    (figures, *_) = served.json("/django-rq/stats.json/token")["queues"]
    assert {name: figures[name] for name in FIGURES} == FIGURES
    assert 'rq_jobs{queue="default",status="failed"} 2.0' in served.get("/django-rq/metrics/")


def test_pages(served: Site, queue: Queue) -> None:
    """Each registry's page names its jobs; a job's page says what it is."""
    one_of_each(queue.connection, "default", "a-")
    assert "/django-rq/queues/0/" in served.get("/django-rq/")
    for page, job_ids in PAGES.items():
        text = served.get(f"{JOBS}/{page}")
        assert all(f"/{job_id}/" in text for job_id in job_ids), page
    detail = served.get(f"{JOBS}/a-failed/")
    assert "tool_jobs.add" in detail
    (result,) = re.findall(r'href="([^"]*/a-failed/results/[^"]+)"', detail)
    assert "ValueError: Boom" in served.get(result)
    assert served.get(f"{JOBS}/details/")


def test_buttons_of_a_job(served: Site, queue: Queue) -> None:
    one_of_each(queue.connection, "default", "a-")
    served.post(f"{JOBS}/a-failed/requeue/")
    assert queue.job_ids == ["a-queued", "a-queued2", "a-failed"]
    served.post(f"{JOBS}/a-queued2/delete/", {"post": "yes"})
    assert queue.job_ids == ["a-queued", "a-failed"]
    assert not Job.exists("a-queued2", queue.connection)
    served.post(f"{JOBS}/a-deferred/enqueue/")
    assert queue.job_ids == ["a-queued", "a-failed", "a-deferred"]
    assert queue.deferred_job_registry.count == 0
    served.post(f"{JOBS}/a-scheduled/enqueue/")
    assert queue.job_ids[-1] == "a-scheduled"
    assert queue.scheduled_job_registry.count == 0
    assert Job.fetch("a-scheduled", connection=queue.connection).get_status() is JobStatus.QUEUED


def test_buttons_of_a_queue(served: Site, queue: Queue) -> None:
    one_of_each(queue.connection, "default", "a-")
    served.post(f"{JOBS}/requeue-all/", {"post": "yes"})
    assert queue.failed_job_registry.count == 0
    assert queue.job_ids == ["a-queued", "a-queued2", "a-failed", "a-failed2"]
    served.post(f"{JOBS}/empty/", {"post": "yes"})
    assert queue.job_ids == []
    assert not Job.exists("a-queued", queue.connection)


def test_actions_on_chosen_jobs(served: Site, queue: Queue) -> None:
    one_of_each(queue.connection, "default", "a-")
    chosen = {"action": "requeue", "_selected_action": ["a-failed", "a-failed2"]}
    assert "a-failed2" in served.post("/django-rq/queues/confirm-action/0/", chosen)
    served.post("/django-rq/queues/actions/0/", {"action": "requeue", "job_ids": ["a-failed", "a-failed2"]})
    assert queue.job_ids == ["a-queued", "a-queued2", "a-failed", "a-failed2"]
    served.post(
        "/django-rq/queues/actions/0/", {"action": "delete", "job_ids": ["a-queued", "a-failed2", "a-finished"]}
    )
    assert queue.job_ids == ["a-queued2", "a-failed"]
    assert not any(Job.exists(job_id, queue.connection) for job_id in ("a-queued", "a-failed2", "a-finished"))


def test_clear_failed(served: Site, queue: Queue) -> None:
    one_of_each(queue.connection, "default", "a-")
    served.post(f"{JOBS}/failed/clear/", {"post": "yes"})
    assert queue.failed_job_registry.count == 0
    assert not Job.exists("a-failed", queue.connection)


def test_workers_and_a_stop(served: Site, project: Programs, queue: Queue) -> None:
    """The page of workers, and the button that stops what one runs."""
    queue.enqueue("tool_jobs.hang", job_id="hangs")
    worker = project.start("manage.py", "rqworker", "--name", "django-worker", "default")
    job = Job.fetch("hangs", connection=queue.connection)
    wait_until(lambda: queue.connection.exists("hanging"), within=40, what="the job runs")
    assert "django-worker" in served.get("/django-rq/workers/0/")
    assert "default" in served.get("/django-rq/workers/0/rq:worker:django-worker/")
    served.post(f"{JOBS}/hangs/stop/")
    wait_until(lambda: job.get_status() is JobStatus.STOPPED, within=40, what="the job is stopped")
    assert project.stop(worker) == 0


def test_cron_pages(served: Site, project: Programs, queue: Queue) -> None:
    """A living cron process is shown, with its entries."""
    cron = project.start("manage.py", "rqcron", "shop/cron.py")
    wait_until(lambda: queue.count, within=40, what="a tick has been enqueued")
    name = queue.connection.zrange("rq:cron_schedulers", 0, -1)[0].decode()
    assert name in served.get("/django-rq/")
    assert "shop.jobs.add" in served.get(f"/django-rq/cron-schedulers/0/{name}/")
    assert queue.job_ids[0] in served.get(f"/django-rq/cron-schedulers/0/{name}/jobs/shop.jobs.add/")
    assert project.stop(cron) == 0


def test_scheduler(served: Site, project: Programs, queue: Queue) -> None:
    """rq-scheduler by way of django-rq: its process, and the page of what waits in it."""
    text = "from datetime import timedelta\nscheduler = django_rq.get_scheduler('default')\n"
    text += "print(scheduler.enqueue_in(timedelta(0), shop.jobs.add, 1, 1).id)\n"
    text += "print(scheduler.enqueue_in(timedelta(hours=1), shop.jobs.add, 1, 1).id)\n"
    soon, later = enqueue(project, text)
    scheduler = project.start("manage.py", "rqscheduler", "--interval", "1", "--queue", "default")
    wait_until(lambda: queue.job_ids == [soon], within=40, what="the job has been enqueued")
    page = served.get("/django-rq/schedulers/0/")
    assert later in page
    assert soon not in page
    project.stop(scheduler)
