"""What stands in the way of pods: each part looked at within bounds, with what to do about it."""

from __future__ import annotations

from django_userpods.doctor.examination import examine
from django_userpods.doctor.findings import Finding, Level

__all__ = ["Finding", "Level", "examine"]
