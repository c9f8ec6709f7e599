"""The shop's tables."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    item = models.CharField(max_length=100)
    receipt = models.CharField(max_length=100, null=True)

    def __str__(self) -> str:
        return self.item
