"""atomiq in a Flask application (docs/frameworks.md).

jobs = Atomiq(app, session=db.session)          a scoped_session, Flask-SQLAlchemy's for example

jobs.queue().enqueue(send_receipt, order.id)    sent when the session commits
"""

from __future__ import annotations

import atexit
from typing import Any

from flask import Flask, current_app

from atomiq._wire.connect import connect
from atomiq.queue import Queue


class Atomiq:
    """A Flask extension: one connection for an application, and queues that wait for its session.

    Args:
        app: the application; or call `init_app` later. `app.config["ATOMIQ_URL"]` says which server; default: the
            environment's.
        session: a SQLAlchemy scoped_session, removed at the end of each request; jobs are sent when it commits. Default
            None: jobs are sent at once.
    """

    def __init__(self, app: Flask | None = None, session: Any = None) -> None:
        self.session = session
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Take part in an application."""
        app.extensions["atomiq"] = connect(app.config.get("ATOMIQ_URL"))
        atexit.register(app.extensions["atomiq"].close)
        if self.session is not None:
            app.teardown_appcontext(self._end_request)

    @property
    def connection(self) -> Any:
        """The redis connection of the current application."""
        return current_app.extensions["atomiq"]

    def queue(self, name: str = "default", **options: Any) -> Queue:
        """A queue that waits for the session's commit. `options`: for the Queue; `on_commit=None` sends at once."""
        return Queue(name, connection=self.connection, **{"on_commit": self.session, **options})

    def _end_request(self, _error: BaseException | None) -> None:
        """What was not committed is rolled back, and its jobs are forgotten."""
        self.session.remove()
