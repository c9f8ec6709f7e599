"""atomiq in a FastAPI or Starlette application (docs/frameworks.md).

    jobs = Atomiq(async_sessionmaker(engine))
    app = FastAPI(lifespan=jobs.lifespan)

    @app.post("/orders")
    async def order(session: Annotated[AsyncSession, Depends(jobs.session)],
                    queue: Annotated[Queue, Depends(jobs.queue())]) -> str:
        session.add(Order())
        job = await queue.enqueue(send_receipt)      # sent by the commit
        await session.commit()
        return job.id

With a plain sessionmaker the same for endpoints that are no coroutines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends
from sqlalchemy.ext.asyncio import async_sessionmaker

from atomiq import aio
from atomiq._wire.connect import connect
from atomiq.queue import Queue


class Atomiq:
    """Sessions for requests, queues that wait for their commit, and a connection for the life of the application.

    Args:
        sessions: an async_sessionmaker, or a sessionmaker.
        url: which server; default: the environment's.
        options: for the connection.

    Attributes:
        session: a dependency, the session of the request. What the endpoint has not committed is rolled back, and its
            jobs are forgotten. The endpoint commits itself, before the answer is sent, so that it can say what failed.
    """

    def __init__(self, sessions: Any, url: str | None = None, **options: Any) -> None:
        self.is_asyncio = isinstance(sessions, async_sessionmaker)
        self._sessions, self._url, self._options = sessions, url, options
        self._connection: Any = None
        self.session: Callable[..., Any] = self._async_session if self.is_asyncio else self._plain_session

    @property
    def connection(self) -> Any:
        """The redis connection, for asyncio beside an async_sessionmaker."""
        if self._connection is None:
            self._connection = (aio.connect if self.is_asyncio else connect)(self._url, **self._options)
        return self._connection

    @asynccontextmanager
    async def lifespan(self, _app: Any) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=...)` or `Starlette(lifespan=...)`; to be entered by a lifespan of your own."""
        try:
            yield
        finally:
            if self._connection is not None:
                await self.aclose()

    async def aclose(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self._connection = self.connection, None
        if self.is_asyncio:
            await connection.aclose()
        else:
            connection.close()

    def queue_of(self, session: Any, name: str = "default", **options: Any) -> Any:
        """A queue whose jobs are sent when a session commits: an aio.Queue beside an AsyncSession, else a Queue."""
        kind: Any = aio.Queue if self.is_asyncio else Queue
        return kind(name, connection=self.connection, **{"on_commit": session, **options})

    def queue(self, name: str = "default", **options: Any) -> Callable[..., Any]:
        """A dependency: the queue that waits for the session of the request."""
        of_request = Depends(self.session)
        if self.is_asyncio:

            async def waiting(session: Any = of_request) -> Any:
                return self.queue_of(session, name, **options)

            return waiting

        def plain(session: Any = of_request) -> Any:
            return self.queue_of(session, name, **options)

        return plain

    async def _async_session(self) -> AsyncIterator[Any]:
        async with self._sessions() as session:
            yield session

    def _plain_session(self) -> Iterator[Any]:
        with self._sessions() as session:
            yield session
