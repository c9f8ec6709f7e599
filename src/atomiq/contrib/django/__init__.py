"""atomiq as a Django app: add `atomiq.contrib.django` to INSTALLED_APPS (docs/django.md).

from atomiq.contrib.django import enqueue, get_queue, job

enqueue(send_receipt, order.pk)                  after COMMIT, if a transaction is open
get_queue("mail").enqueue(send_receipt, order.pk, retry=Retry(3))
"""

from __future__ import annotations

from atomiq.contrib.django.commit import DjangoCommit
from atomiq.contrib.django.conf import UnknownQueue, get_connection
from atomiq.contrib.django.queues import enqueue, enqueue_on_commit, get_queue, job

__all__ = ["DjangoCommit", "UnknownQueue", "enqueue", "enqueue_on_commit", "get_connection", "get_queue", "job"]
