"""A program with Sentry: enqueues jobs in a transaction and runs a worker of the kind that its arguments say."""

from __future__ import annotations

import os
import sys

import redis
import rq
import sentry_sdk
from rq.worker import SimpleWorker, Worker
from sentry_sdk.integrations.rq import RqIntegration


def set_up() -> None:
    sentry_sdk.init(dsn=os.environ["DSN"], integrations=[RqIntegration()], traces_sample_rate=1.0)


def main(kind: str) -> None:
    set_up()
    queue = rq.Queue("mail", connection=redis.Redis.from_url(os.environ["RQ_REDIS_URL"]))
    with sentry_sdk.start_transaction(op="task", name="producer") as producer:
        queue.enqueue("tool_jobs.boom", "alone", job_id="alone")
        queue.enqueue("tool_jobs.boom", "twice", job_id="twice", retry=rq.Retry(1))
        queue.enqueue("tool_jobs.traced", job_id="traced", result_ttl=-1)
        print("trace", producer.trace_id)
    options = {} if kind in ("default", "inline") else {"executor": kind}
    made = (SimpleWorker if kind == "inline" else Worker)([queue], connection=queue.connection, **options)
    made.work(burst=True, logging_level="ERROR")
    print("pid", os.getpid())


if __name__ == "__main__":
    main(sys.argv[1])
