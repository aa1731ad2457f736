"""Pod templates in YAML files, and where exactly one does not parse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from django_userpods.exceptions import TemplateError

if TYPE_CHECKING:
    from pathlib import Path

    from django_userpods.core.objects import Manifest


def read_yaml(path: Path) -> list[Manifest]:
    """Return the manifests of a YAML file of one or more documents.

    Raises TemplateError with the line and column where the file cannot be read or parsed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise TemplateError(message, where=str(path)) from error
    return parse_yaml(content, where=str(path))


def parse_yaml(content: str | bytes, *, where: str = "") -> list[Manifest]:
    """Return the manifests of a YAML text, which errors call ``where``."""
    try:
        return [document for document in yaml.safe_load_all(content) if document]
    except RecursionError as error:
        raise TemplateError("is not YAML: it is nested too deeply", where=where) from error
    # What looks like a date or a number and is none (2026-02-30) has errors of Python's own.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        place = ", ".join(filter(None, (where, line)))
        message = f"is not YAML: {getattr(error, 'problem', None) or error}"
        raise TemplateError(message, where=place) from error
