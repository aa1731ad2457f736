"""An app with a user model of its own: a UUID as the key, the email address as the username."""

from __future__ import annotations
