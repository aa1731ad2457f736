"""The shipped manifests, filled in from a project's settings.

``shipped`` is where they are and how values get into them, ``project`` what the settings say,
``kustomize`` puts them into one stream of YAML.
"""

from __future__ import annotations
