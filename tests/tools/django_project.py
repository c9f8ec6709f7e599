"""A Django project with django-rq, written into a folder: settings, urls, manage.py and an app with jobs."""

from __future__ import annotations

from tests.tools.programs import Programs

SETTINGS = """
    import os

    SECRET_KEY = "for tests"
    DEBUG = True
    ALLOWED_HOSTS = ["127.0.0.1"]
    ROOT_URLCONF = "shop.urls"
    USE_TZ = True
    STATIC_URL = "/static/"
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    INSTALLED_APPS = [
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "django_rq",
    ]
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    TEMPLATES = [{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request",
            "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3", "OPTIONS": {"timeout": 9}}}
    URL = os.environ["RQ_REDIS_URL"]
    RQ_QUEUES = {
        "default": {"URL": URL, "DEFAULT_TIMEOUT": 77},
        "mail": {"URL": URL},
        "now": {"URL": URL, "ASYNC": False},
    }
    RQ = {"JOB_CLASS": "shop.jobs.ShopJob", "QUEUE_CLASS": "django_rq.queues.DjangoRQ"}
    RQ_EXCEPTION_HANDLERS = ["shop.jobs.note_failure"]
    RQ_SHOW_ADMIN_LINK = True
    RQ_API_TOKEN = "token"
    LOGGING = {
        "version": 1,
        "formatters": {"ours": {"format": "[shop] %(name)s %(message)s"}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "loggers": {"rq.worker": {"handlers": ["out"], "level": "INFO"}},
    }
"""

URLS = """
    from django.contrib import admin
    from django.urls import include, path

    urlpatterns = [path("admin/", admin.site.urls), path("django-rq/", include("django_rq.urls"))]
"""

JOBS = """
    import django_rq
    from django.contrib.auth import get_user_model
    from rq import get_current_job
    from rq.job import Job


    class ShopJob(Job):
        '''Named in the settings.'''


    def count_users():
        return get_user_model().objects.count()


    def add(x, y):
        return x + y


    def boom():
        raise ValueError("boom")


    @django_rq.job("mail", timeout=55)
    def send(to):
        job = get_current_job()
        return {"to": to, "class": type(job).__name__, "timeout": job.timeout}


    def note_failure(job, kind, error, trace):
        job.connection.set(f"noted:{job.id}", f"{kind.__name__}: {error}")
        return True
"""

CRON = """
    from rq import cron
    from shop.jobs import add

    cron.register(add, queue_name="default", args=(1, 1), interval=1)
"""

MANAGE = """
    import os, sys

    if __name__ == "__main__":
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
"""


def make_project(programs: Programs) -> None:
    """Project, database and a superuser `admin` with the password `secret`."""
    for name, text in (
        ("shop/__init__.py", ""), ("shop/settings.py", SETTINGS), ("shop/urls.py", URLS), ("shop/jobs.py", JOBS),
        ("shop/cron.py", CRON), ("manage.py", MANAGE),
    ):  # fmt: skip
        programs.write(name, text)
    programs.run("manage.py", "migrate", "--verbosity", "0")
    who = ("--username", "admin", "--email", "a@example.org")
    programs.run("manage.py", "createsuperuser", "--noinput", *who, DJANGO_SUPERUSER_PASSWORD="secret")
