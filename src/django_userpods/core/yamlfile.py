"""Pod templates in YAML files, and where exactly one does not parse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from django_userpods.exceptions import TemplateError
from django_userpods.texts import Said, said

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
        message = said("cannot be read: %(problem)s", problem=error.strerror or error)
        raise TemplateError(message, where=str(path)) from error
    return parse_yaml(content, where=str(path))


def parse_yaml(content: str | bytes, *, where: str = "") -> list[Manifest]:
    """Return the manifests of a YAML text, which errors call ``where``."""
    try:
        return [document for document in yaml.safe_load_all(content) if document]
    except RecursionError as error:
        raise TemplateError(said("is not YAML: it is nested too deeply"), where=where) from error
    # What looks like a date or a number and is none (2026-02-30) has errors of Python's own.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = _place(mark, where) if mark else where
        message = said("is not YAML: %(problem)s", problem=getattr(error, "problem", None) or error)
        raise TemplateError(message, where=place) from error


def _place(mark: yaml.Mark, where: str) -> Said:
    found = {"line": mark.line + 1, "column": mark.column + 1}
    if where:
        return said("%(where)s, line %(line)s, column %(column)s", where=where, **found)
    return said("line %(line)s, column %(column)s", **found)
