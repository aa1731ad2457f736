"""The rules of django-userpods as plain functions: standard library and YAML only."""

from __future__ import annotations
