"""Jobs that wait for the COMMIT of a Django connection, by `transaction.on_commit`.

Every call has a callback of its own there, so that a savepoint's rollback drops just those of its block, and
`captureOnCommitCallbacks` shows each. When the first of them is called, it looks at which come next and sends all
together: one round trip.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction

from atomiq.on_commit import Held, asend_all, send_all


class DjangoCommit:
    """Lets jobs wait for the commit of a database: `Queue(on_commit=DjangoCommit("other"))`; 'django:other' is as good.

    Args:
        using: alias of the database. Default 'default'.
        robust: Django's: what goes wrong in the sending is logged, not raised, and callbacks that others have
            registered are called all the same. Default False.
    """

    def __init__(self, using: str = "default", robust: bool = False) -> None:
        self.using = using
        self.robust = robust

    def hold(self, held: Held) -> bool:
        """Keep jobs until the transaction commits. False in autocommit mode: they are sent at once.

        Raises:
            TransactionManagementError: autocommit was turned off by hand, so Django doesn't know when it commits.
            SynchronousOnlyOperation: called on an event loop; Django's transactions live in threads.
        """
        connection = connections[self.using]
        if not connection.in_atomic_block and connection.get_autocommit():
            return False
        transaction.on_commit(Callback(connection, held, self.robust), using=self.using, robust=self.robust)
        return True

    async def ahold(self, held: Held) -> bool:
        """The same, in the thread where Django's synchronous parts run for coroutines."""
        return await sync_to_async(self.hold, thread_sensitive=True)(held)


def source(using: str = "default") -> DjangoCommit:
    """What `on_commit='django:<using>'` means."""
    return DjangoCommit(using)


def when_sent(source: DjangoCommit, job: Any, then: Callable[[], object]) -> None:
    """Have a function called once a job, the last that was held, is sent."""
    for entry in reversed(connections[source.using].run_on_commit):
        if isinstance(entry[1], Callback) and job in entry[1].held.jobs:
            entry[1].then = then
            return


class Callback:
    """What Django calls after COMMIT. `then`: called when its jobs are sent."""

    then: Callable[[], object] | None = None

    def __init__(self, connection: Any, held: Held, robust: bool) -> None:
        self.held = held
        self.robust = robust
        self.is_sent = False
        self.hooks: list[Any] = connection.run_on_commit
        # A savepoint's rollback has made another list of those that are left.
        for entry in reversed(self.hooks):
            if isinstance(entry[1], Callback):
                if entry[1].hooks is self.hooks:
                    break
                entry[1].hooks = self.hooks
        self.__qualname__ = f"enqueue_on_commit({', '.join(job.description or job.id for job in held.jobs[:3])})"

    def __call__(self) -> None:
        if self.is_sent:
            return
        together = [self, *self._next()]
        for each in together:
            each.is_sent = True
        plain = [each.held for each in together if not each.held.is_asyncio]
        awaited = [each.held for each in together if each.held.is_asyncio]
        if plain:
            send_all(plain)
        if awaited:
            async_to_sync(asend_all)(awaited)
        for each in together:
            if each.then is not None:
                each.then()

    def _next(self) -> list[Callback]:
        """Those that Django is going to call next, up to the first that isn't ours: it may raise, and then Django calls
        none of the rest. Django takes what it calls off its list; where this one is still listed somebody else calls.
        """
        if any(entry[1] is self for entry in self.hooks):
            return []
        ours = takewhile(lambda each: isinstance(each, Callback), (entry[1] for entry in self.hooks))
        return list(takewhile(lambda each: each.robust is self.robust, ours))
