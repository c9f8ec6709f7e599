"""The config that the processes of bench/cron_kill.py share: six ticks in two seconds, of all kinds.

`missed='all'`: when every process is dead at once for more than a minute, ticks are made up for, too.
"""

from __future__ import annotations

from atomiq.cron import register
from bench.noop import work

QUEUE = "cron-kill"

register(work, QUEUE, (0,), name="interval", interval=1, missed="all", result_ttl=86400)
register(work, QUEUE, (0,), name="expression", cron="* * * * * *", missed="all", result_ttl=86400)
register(work, QUEUE, (0,), name="berlin", cron="* * * * * *", timezone="Europe/Berlin", missed="all", result_ttl=86400)
register(work, QUEUE, (0,), name="jitter", interval=1, jitter=0.5, missed="all", result_ttl=86400)
register(work, QUEUE, (0,), name="slow", interval=2, missed="all", result_ttl=86400)
register(work, QUEUE, (0,), name="slow-expression", cron="* * * * * */2", missed="all", result_ttl=86400)
