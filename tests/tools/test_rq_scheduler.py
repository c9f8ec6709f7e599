"""rq-scheduler: its jobs, and those of its `rqscheduler` process, go through our queues and workers."""

from __future__ import annotations

import time

import redis
from tests.helpers import wait_until
from tests.tools.programs import Programs

from atomiq import Job, JobStatus, Queue

SCHEDULED = "rq:scheduler:scheduled_jobs"
PLAN = """
    import os, redis, rq, tool_jobs, warnings
    warnings.simplefilter("ignore")
    from datetime import datetime, timedelta, timezone
    from rq_scheduler import Scheduler

    connection = redis.Redis.from_url(os.environ["RQ_REDIS_URL"])
    scheduler = Scheduler("mail", connection=connection)
    past = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(seconds=5)
    scheduler.enqueue_in(timedelta(0), tool_jobs.add, 1, 2, job_id="once")
    scheduler.enqueue_at(past, tool_jobs.who, job_id="who", job_result_ttl=-1)
    scheduler.schedule(past, tool_jobs.add, args=[3, 4], interval=3600, repeat=2, id="again", queue_name="mail")
    scheduler.cron("0 0 1 1 *", tool_jobs.add, args=[5, 6], queue_name="mail", id="each-year")
    scheduler.enqueue_in(timedelta(hours=1), tool_jobs.add, 7, 8, job_id="later")
    dropped = scheduler.enqueue_in(timedelta(hours=1), tool_jobs.add, 9, 9, job_id="dropped")
    scheduler.cancel(dropped)
    assert "later" in scheduler and dropped not in scheduler
    print(" ".join(sorted(job.id for job in scheduler.get_jobs())))
"""


def planned(connection: redis.Redis) -> set[str]:
    return {job_id.decode() for job_id in connection.zrange(SCHEDULED, 0, -1)}


def make_due(connection: redis.Redis, job_id: str) -> None:
    connection.zadd(SCHEDULED, {job_id: time.time() - 1})


def test_jobs_once_repeated_and_by_cron(programs: Programs, connection: redis.Redis) -> None:
    assert programs.python(PLAN).split()[-5:] == ["again", "each-year", "later", "once", "who"]
    make_due(connection, "each-year")
    programs.run("rqscheduler", "--url", programs.url, "--burst")
    mail = Queue("mail", connection=connection)
    assert sorted(mail.job_ids) == ["again", "each-year", "once", "who"]
    assert planned(connection) == {"again", "each-year", "later"}

    programs.run("rqworker", "--burst", "mail")
    jobs = {job_id: Job.fetch(job_id, connection=connection) for job_id in ("once", "who", "again", "each-year")}
    assert {job.get_status() for job in jobs.values()} == {JobStatus.FINISHED}
    assert jobs["once"].return_value() == 3
    assert jobs["who"].return_value()["job"] == "who"
    assert jobs["again"].return_value() == 7
    assert jobs["each-year"].return_value() == 11

    make_due(connection, "again")
    programs.run("rqscheduler", "--url", programs.url, "--burst")
    assert mail.job_ids == ["again"], "the same job a second time"
    assert planned(connection) == {"each-year", "later"}, "and it was the last"
    assert len(Job.fetch("again", connection=connection).results()) == 1


def test_beside_a_living_worker(programs: Programs, connection: redis.Redis) -> None:
    """What becomes due while both run is run at once; the scheduler process ends when it is told to."""
    worker = programs.start("rqworker", "mail")
    scheduler = programs.start("rqscheduler", "--url", programs.url, "--interval", "0.1")
    programs.python(PLAN)
    mail = Queue("mail", connection=connection)
    wait_until(lambda: mail.finished_job_registry.count >= 3, within=40, what="three jobs have run")
    assert planned(connection) >= {"again", "each-year", "later"}
    for process in (scheduler, worker):
        process.terminate()
        process.wait(30)
    assert not connection.scard("rq:workers")
    assert not connection.exists("rq:scheduler:scheduler_lock")
