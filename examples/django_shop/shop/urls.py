"""The shop's pages. ATOMIC_REQUESTS makes each a transaction."""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from shop.jobs import write_receipt
from shop.models import Order


@csrf_exempt
def orders(request: HttpRequest) -> JsonResponse:
    if request.method != "POST":
        return JsonResponse([[order.item, order.receipt] for order in Order.objects.all()], safe=False)
    order = Order.objects.create(item=request.GET["item"])
    job = write_receipt.delay(order.pk)
    if "fail" in request.GET:
        raise BadRequest("rolled back")
    return JsonResponse({"job": job.id})


urlpatterns = [path("orders", orders)]
