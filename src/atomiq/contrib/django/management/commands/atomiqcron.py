"""`manage.py atomiqcron`."""

from __future__ import annotations

from atomiq.contrib.django.management.base import AtomiqCommand


class Command(AtomiqCommand):
    help = "`atomiq cron` with Django set up and the server of the settings; see `atomiq cron --help`."
    command = "cron"
