"""SQLAlchemy classes, and who makes their sessions, as an application has them in a module."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import ForeignKey, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

FILE = "ATOMIQ_TEST_MAPPED"


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(20))

    @property
    def is_first(self) -> bool:
        return self.id == 1


class Line(Base):
    __tablename__ = "lines"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)


class NoModel:
    pass


def new_session() -> Session:
    return Session(create_engine(f"sqlite:///{os.environ[FILE]}", poolclass=NullPool))


def new_async_session() -> Any:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    return AsyncSession(create_async_engine(f"sqlite+aiosqlite:///{os.environ[FILE]}", poolclass=NullPool))


no_factory = 5
