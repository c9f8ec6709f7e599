"""A shop with Flask and SQLAlchemy: an order is placed, and its receipt is a job.

flask --app shop run            # in this folder
atomiq worker                   # beside it
curl -X POST 'localhost:5000/orders?item=tea'
curl -X POST 'localhost:5000/orders?item=tea&fail=1'     # rolled back: no order, no job
curl localhost:5000/orders
"""

from __future__ import annotations

import os

from flask import Flask, Response, abort, jsonify, request
from sqlalchemy import NullPool, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from atomiq.contrib.flask import Atomiq

engine = create_engine(os.environ.get("SHOP_DATABASE", "sqlite:///shop.sqlite"), poolclass=NullPool)
session = scoped_session(sessionmaker(engine))


class Base(DeclarativeBase):
    """The shop's tables."""


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    receipt: Mapped[str | None]


Base.metadata.create_all(engine)

app = Flask(__name__)
jobs = Atomiq(app, session=session)


def write_receipt(order_id: int) -> None:
    """The job. Its order is there: it was committed before this job was enqueued."""
    with Session(engine) as own, own.begin():
        order = own.get_one(Order, order_id)
        order.receipt = f"1 {order.item}"


@app.post("/orders")
def place() -> Response:
    order = Order(item=request.args["item"])
    session.add(order)
    session.flush()
    job = jobs.queue().enqueue(write_receipt, order.id)
    if "fail" in request.args:
        abort(409)
    session.commit()
    return jsonify(job=job.id)


@app.get("/orders")
def orders() -> Response:
    return jsonify([[order.item, order.receipt] for order in session.scalars(select(Order))])
