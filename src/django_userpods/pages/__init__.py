"""What a browser or the router asks of Django: ``whoami``, the waiting page, status and wake."""

from __future__ import annotations
