"""The app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from atomiq.contrib.django.checks import check_server, check_settings
from atomiq.contrib.django.conf import forget_connections


class AtomiqConfig(AppConfig):
    """`atomiq.contrib.django`."""

    name = "atomiq.contrib.django"
    label = "atomiq"
    verbose_name = "atomiq"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        checks.register(check_settings, "atomiq")
        checks.register(check_server, "atomiq")
        setting_changed.connect(forget_connections)
