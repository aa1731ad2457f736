"""What the router and browsers ask of Django: ``whoami``, the waiting page, status and wake."""

from __future__ import annotations
