"""`manage.py atomiqinfo`."""

from __future__ import annotations

from atomiq.contrib.django.management.base import AtomiqCommand


class Command(AtomiqCommand):
    help = "`atomiq info` with Django set up and the server of the settings; see `atomiq info --help`."
    command = "info"
