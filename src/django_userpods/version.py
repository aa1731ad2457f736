"""The version and the documentation's address, for what imports nothing else of ours."""

from __future__ import annotations

__version__ = "0.1.0.dev0"

#: Where pages of the documentation are, which an installed package has not: as [project.urls] says.
DOCUMENTATION = "https://github.com/django-userpods/django-userpods/tree/main/docs"
