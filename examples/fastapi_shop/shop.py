"""A shop with FastAPI and asynchronous SQLAlchemy: an order is placed, and its receipt is a job.

uvicorn shop:app                # in this folder
atomiq worker --executor async  # beside it
curl -X POST 'localhost:8000/orders?item=tea'
curl -X POST 'localhost:8000/orders?item=tea&fail=1'     # rolled back: no order, no job
curl localhost:8000/orders
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import NullPool, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from atomiq.aio import Queue
from atomiq.contrib.fastapi import Atomiq

engine = create_async_engine(os.environ.get("SHOP_DATABASE", "sqlite+aiosqlite:///shop.sqlite"), poolclass=NullPool)
sessions = async_sessionmaker(engine)
jobs = Atomiq(sessions)


class Base(DeclarativeBase):
    """The shop's tables."""


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    receipt: Mapped[str | None]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with jobs.lifespan(app):
        yield


app = FastAPI(lifespan=lifespan)
SessionOfRequest = Annotated[AsyncSession, Depends(jobs.session)]
WaitingQueue = Annotated[Queue, Depends(jobs.queue())]


async def write_receipt(order_id: int) -> None:
    """The job. Its order is there: it was committed before this job was enqueued."""
    async with sessions.begin() as own:
        order = await own.get_one(Order, order_id)
        order.receipt = f"1 {order.item}"


@app.post("/orders")
async def place(item: str, session: SessionOfRequest, queue: WaitingQueue, fail: bool = False) -> dict[str, str]:
    order = Order(item=item)
    session.add(order)
    await session.flush()
    job = await queue.enqueue(write_receipt, order.id)
    if fail:
        raise HTTPException(409)
    await session.commit()
    return {"job": job.id}


@app.get("/orders")
async def orders(session: SessionOfRequest) -> list[list[str | None]]:
    return [[order.item, order.receipt] for order in await session.scalars(select(Order))]
