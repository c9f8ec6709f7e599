"""`import rq` means atomiq: third-party code written for RQ runs unmodified.

In a program, before anything imports rq:

    from atomiq.contrib import rq_alias

    rq_alias.install()

Or for a program that is not to be changed, and all Python programs that it starts:

    python -m atomiq.contrib.rq_alias rqworker mail
    python -m atomiq.contrib.rq_alias manage.py rqworker
    python -m atomiq.contrib.rq_alias -m rq_dashboard
"""

from __future__ import annotations

from atomiq.contrib.rq_alias.switch import install, installed, uninstall

__all__ = ["install", "installed", "uninstall"]
