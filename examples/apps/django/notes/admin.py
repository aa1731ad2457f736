"""Notes in the pod's own admin."""

from __future__ import annotations

from django.contrib import admin

from notes.models import Note


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    """All notes, the newest first."""

    list_display = ["text", "written"]
