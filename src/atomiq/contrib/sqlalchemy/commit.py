"""Jobs that wait for the COMMIT of a SQLAlchemy session.

What is held belongs to the transaction, or savepoint, that the session was in: a released savepoint hands it to the one
around it, a rollback forgets it, and when the outermost transaction has ended by a commit it is sent. Not in
`after_commit` itself, where the session still has its connection and can't be used if something is raised.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, SessionTransaction, scoped_session
from sqlalchemy.util import await_only

from atomiq._core.errors import InvalidOption, NotEnqueued, NotInTransaction
from atomiq._core.log import get_logger
from atomiq.on_commit import Held, asend_all, send_all

_log: Final = get_logger("on_commit")
_INFO: Final = "atomiq.on_commit"
"""Where a session keeps its `Waiting`. Not a table of ours: the transactions in there know their session, so that one
which is given up without `close` would never be collected, and never give its connection back."""


class SessionCommit:
    """Lets jobs wait for a session's commit: `Queue(on_commit=SessionCommit(session))`; the bare session is as good.

    Args:
        session: a Session, AsyncSession, scoped_session or async_scoped_session.
        robust: what goes wrong in the sending is logged, not raised by the commit. Default False.

    Raises:
        InvalidOption: a ValueError; no session.
    """

    def __init__(self, session: Any, robust: bool = False) -> None:
        if not isinstance(session, (Session, AsyncSession, scoped_session, async_scoped_session)):
            kind = type(session).__name__
            raise InvalidOption(f"on_commit takes a session, or a function that returns one, not a {kind}: {session!r}")
        self.session = session
        self.robust = robust

    def hold(self, held: Held) -> bool:
        """Keep jobs until the session commits. A session in no transaction begins one, as for any use of it."""
        session, is_asyncio = sync_session(self.session)
        if held.is_asyncio and not is_asyncio:
            raise InvalidOption("an aio.Queue waits for an AsyncSession only; use atomiq.Queue beside a Session")
        waiting = session.info.get(_INFO)
        if waiting is None:
            waiting = session.info[_INFO] = Waiting(session)
        waiting.add(session, held, self.robust)
        return True

    async def ahold(self, held: Held) -> bool:
        return self.hold(held)


source = SessionCommit


def enqueue_on_commit(session: Any, queue: Any, func: Any, *args: Any, **options: Any) -> Any:
    """Enqueue a call when the session's transaction has committed, never if it rolls back (docs/transactions.md).

    Args:
        session: a Session, AsyncSession, or a scoped one.
        queue: a Queue, or an aio.Queue beside an AsyncSession; for that one the answer is to be awaited.
        func, args, options: as for `Queue.enqueue`.

    Returns:
        The Job, with its id, in status created; queued once it is sent.

    Raises:
        What `Queue.enqueue` raises about the call, at once. NotInTransaction: the session has autobegin=False and no
        transaction. From the commit: NotEnqueued, when the rows are committed and the server can't be reached.
    """
    return queue.after_commit(session).enqueue(func, *args, **options)


def sync_session(session: Any) -> tuple[Session, bool]:
    """The Session behind what was given, and whether it is an asyncio one's."""
    if isinstance(session, (scoped_session, async_scoped_session)):
        session = session()
    return (session.sync_session, True) if isinstance(session, AsyncSession) else (session, False)


def begun(session: Session) -> SessionTransaction:
    """The innermost transaction or savepoint that a session is in; begins one if there is none.

    Raises:
        NotInTransaction: that is left to its owner, by autobegin=False.
    """
    found = session.get_nested_transaction() or session.get_transaction()
    if found is not None:
        return found
    if not session.autobegin:
        raise NotInTransaction("the session is in no transaction, and autobegin=False: call session.begin() first")
    return session.begin()


class Waiting:
    """Jobs that wait for transactions of one session."""

    def __init__(self, session: Session) -> None:
        self._held: dict[SessionTransaction, list[tuple[Held, bool]]] = {}
        self._committed: set[SessionTransaction] = set()
        event.listen(session, "after_commit", self._note_commit)
        event.listen(session, "after_transaction_end", self._end)

    def add(self, session: Session, held: Held, robust: bool) -> None:
        self._held.setdefault(begun(session), []).append((held, robust))

    def _note_commit(self, session: Session) -> None:
        """Also called when a savepoint is released."""
        transaction = session.get_nested_transaction() or session.get_transaction()
        if transaction is not None and (self._held or transaction.nested):
            self._committed.add(transaction)

    def _end(self, _session: Session, transaction: SessionTransaction) -> None:
        held = self._held.pop(transaction, [])
        committed = transaction in self._committed
        self._committed.discard(transaction)
        if not held or not committed:
            return
        outer = transaction.parent
        while outer is not None and not outer.nested and outer.parent is not None:
            outer = outer.parent
        if outer is not None:
            self._held.setdefault(outer, []).extend(held)
        else:
            _send(held)


def _send(held: list[tuple[Held, bool]]) -> None:
    """Everything, whatever goes wrong on the way; then the first error that may be said is raised."""
    errors: list[NotEnqueued] = []
    for robust in (False, True):
        plain = [each for each, quiet in held if quiet is robust and not each.is_asyncio]
        awaited = [each for each, quiet in held if quiet is robust and each.is_asyncio]
        for some, is_asyncio in ((plain, False), (awaited, True)):
            try:
                if some and is_asyncio:
                    await_only(asend_all(some))
                elif some:
                    send_all(some)
            except NotEnqueued as error:
                if robust:
                    _log.exception("After COMMIT of a session")
                else:
                    errors.append(error)
    if errors:
        raise errors[0]
