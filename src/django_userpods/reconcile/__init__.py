"""The one code path that makes the cluster agree with the database.

In the order of a run: ``pods`` (users to rows), ``wanted`` (settings and a user to the objects
they should have), ``observe`` (what is in the cluster), ``apply`` (make it so), ``outcomes``
(write down what came of it), ``report`` (tell whoever asked). ``run`` puts them together.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_userpods.reconcile.report import Failure, Report
    from django_userpods.reconcile.run import reconcile

__all__ = ["Failure", "Report", "reconcile"]

#: Where they are. Whoever imports a module from here does not pay for all the others.
_WHERE = {"Failure": "report", "Report": "report", "reconcile": "run"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
