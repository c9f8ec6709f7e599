"""Cron (RQ's rq.cron): calls that are enqueued at certain times, each time once, however many processes see to it."""

from __future__ import annotations

from atomiq._core.settings import (
    DEFAULT_CRON_JOB_HISTORY_LIMIT,
    DEFAULT_CRON_JOB_HISTORY_TTL,
    DEFAULT_CRON_SCHEDULER_TTL,
    DEFAULT_LOGGING_DATE_FORMAT,
    DEFAULT_LOGGING_FORMAT,
    DEFAULT_RESULT_TTL,
)
from atomiq.cron.config import register
from atomiq.cron.entries import CronEntry, get_entries, pause_entry, resume_entry, run_entry
from atomiq.cron.expression import InvalidCron
from atomiq.cron.job import CronJob, get_cron_job_history_key, get_cron_job_ids
from atomiq.cron.scheduler import CronScheduler, DuplicateCronName, create_cron
from atomiq.utils import NOT_JSON_SERIALIZABLE

__all__ = [
    "DEFAULT_CRON_JOB_HISTORY_LIMIT",
    "DEFAULT_CRON_JOB_HISTORY_TTL",
    "DEFAULT_CRON_SCHEDULER_TTL",
    "DEFAULT_LOGGING_DATE_FORMAT",
    "DEFAULT_LOGGING_FORMAT",
    "DEFAULT_RESULT_TTL",
    "NOT_JSON_SERIALIZABLE",
    "CronEntry",
    "CronJob",
    "CronScheduler",
    "DuplicateCronName",
    "InvalidCron",
    "create_cron",
    "get_cron_job_history_key",
    "get_cron_job_ids",
    "get_entries",
    "pause_entry",
    "register",
    "resume_entry",
    "run_entry",
]
