"""Its model: orders, of which a manager leaves some out."""

from __future__ import annotations

from django.db import models


class Visible(models.Manager):  # type: ignore[type-arg,unused-ignore]
    def get_queryset(self) -> models.QuerySet:  # type: ignore[type-arg,unused-ignore]
        return super().get_queryset().filter(hidden=False)


class Order(models.Model):
    number = models.CharField(max_length=20)
    hidden = models.BooleanField(default=False)

    objects = Visible()

    class Meta:
        app_label = "shop"
