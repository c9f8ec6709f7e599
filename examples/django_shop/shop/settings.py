"""Settings. The server is the one that ATOMIQ_URL names, or localhost."""

from __future__ import annotations

import os

SECRET_KEY = "an example"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
INSTALLED_APPS = ["atomiq.contrib.django", "shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite"),
        "ATOMIC_REQUESTS": True,
    }
}
ATOMIQ = {"QUEUES": {"default": {"DEFAULT_TIMEOUT": 60}}}
