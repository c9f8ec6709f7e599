"""Every default, in one place. Seconds unless the name says otherwise; where RQ has a default it is RQ's."""

from __future__ import annotations

from typing import Final

DEFAULT_TIMEOUT: Final = 180
DEFAULT_RESULT_TTL: Final = 500
DEFAULT_FAILURE_TTL: Final = 31_536_000
DEFAULT_WORKER_TTL: Final = 420
DEFAULT_JOB_MONITORING_INTERVAL: Final = 30
DEFAULT_MAINTENANCE_TASK_INTERVAL: Final = 600
DEFAULT_SCHEDULER_FALLBACK_PERIOD: Final = 120
DEFAULT_CRON_JOB_HISTORY_LIMIT: Final = 1000
DEFAULT_CRON_JOB_HISTORY_TTL: Final = 31_536_000
DEFAULT_CRON_SCHEDULER_TTL: Final = 120
CALLBACK_TIMEOUT: Final = 60
DEFAULT_LOGGING_DATE_FORMAT: Final = "%H:%M:%S"
DEFAULT_LOGGING_FORMAT: Final = "%(asctime)s %(message)s"
UNSERIALIZABLE_RETURN_VALUE_PAYLOAD: Final = "Unserializable return value"

EXECUTORS: Final = ("process", "fork", "spawn", "thread", "async", "inline")
"""The ways to run a job."""
DEFAULT_LEASE: Final = 30.0
"""How long a worker may be silent before what it runs is taken from it; meanwhile it reports every third of it."""
DEFAULT_MAX_ABANDONED: Final = 3
"""A job that lost its worker more often than this in a row is failed instead of run again."""
DEFAULT_ABANDONED: Final = "retry"
"""What becomes of a job whose worker went away: 'retry' (run again) or 'fail' (RQ)."""
SAFETY_CHECK: Final = 7.0
"""An idle worker looks by itself this often."""
QUICK_SAFETY_CHECK: Final = 0.25
"""The same while producers that don't ring the bell (RQ's) are about."""
HARD_LIMIT_MARGIN: Final = 60
"""A job that outlives its time limit by this much is killed."""
JOBS_PER_ENQUEUE_COMMAND: Final = 1000
"""enqueue_many sends at most this many jobs a command; each command is all-or-nothing."""
BYTES_PER_ENQUEUE_COMMAND: Final = 32_000_000
"""The same in bytes of serialised calls; a server refuses a command of 1 GB, and nobody else is served meanwhile."""
COMPRESS_ABOVE: Final = 1024
"""Bytes of serialised call above which it is compressed."""

ENV_URL: Final = ("ATOMIQ_URL", "RQ_REDIS_URL", "REDIS_URL")
"""Environment names that hold the server's URL, the first one set wins."""
REHEARSAL_VARIABLE: Final = "ATOMIQ_REHEARSAL"
"""Environment name that tells a command that it only rehearses its start (`worker/rehearsal.py`)."""
