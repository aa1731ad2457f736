"""A note, and nothing else."""

from __future__ import annotations

from django.db import models


class Note(models.Model):
    """A line that its owner wants to keep."""

    text = models.CharField(max_length=200)
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-written"]

    def __str__(self) -> str:
        return self.text
