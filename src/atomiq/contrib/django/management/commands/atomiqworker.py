"""`manage.py atomiqworker`."""

from __future__ import annotations

from atomiq.contrib.django.management.base import AtomiqCommand


class Command(AtomiqCommand):
    help = "`atomiq worker` with Django set up and the server of the settings; see `atomiq worker --help`."
    command = "worker"
