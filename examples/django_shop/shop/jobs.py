"""What workers do."""

from __future__ import annotations

from atomiq.contrib.django import job
from shop.models import Order


@job
def write_receipt(order_id: int) -> None:
    """Its order is there: it was committed before this job was enqueued."""
    order = Order.objects.get(pk=order_id)
    order.receipt = f"1 {order.item}"
    order.save()
