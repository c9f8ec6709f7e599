"""The outbox in the admin: what waits, for how long, what is parked and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib import admin, messages

from atomiq.contrib.django.models import OutboxRow


@admin.register(OutboxRow)
class OutboxRowAdmin(admin.ModelAdmin):
    """Rows can be looked at, deleted, and sent after all; nothing in them can be changed."""

    list_display: ClassVar[list[str]] = ["id", "job_id", "queue", "state", "written_at", "tries", "reason"]
    list_filter: ClassVar[list[str]] = ["state", "queue", "route"]
    search_fields: ClassVar[list[str]] = ["job_id"]
    ordering: ClassVar[list[str]] = ["id"]
    actions: ClassVar[list[str]] = ["send_after_all"]
    exclude: ClassVar[list[str]] = ["token", "session_id", "version"]

    @admin.display(description="written at", ordering="created_ms")
    def written_at(self, row: OutboxRow) -> datetime:
        return datetime.fromtimestamp(row.created_ms / 1000, UTC)

    @admin.action(description="Send parked rows after all")
    def send_after_all(self, request: Any, queryset: Any) -> None:
        parked = queryset.filter(state=OutboxRow.PARKED)
        count = parked.update(state=OutboxRow.WAITING, parked_ms=0, not_before_ms=0, tries=0, reason="")
        self.message_user(request, f"{count} rows wait again; a relay moves them.", messages.SUCCESS)

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False if obj is not None else super().has_change_permission(request)
