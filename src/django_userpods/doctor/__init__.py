"""What stands in the way of pods: each part looked at within bounds, with what to do about it."""

from __future__ import annotations

from django_userpods.doctor.examination import examine as examine
from django_userpods.doctor.findings import Finding as Finding
from django_userpods.doctor.findings import Level as Level
