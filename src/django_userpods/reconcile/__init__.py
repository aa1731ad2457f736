"""The one code path that makes the cluster agree with the database.

In the order of a run: ``pods`` (users to rows), ``wanted`` (settings and a user to the objects
they should have), ``observe`` (what is in the cluster), ``apply`` (make it so), ``outcomes``
(write down what came of it), ``report`` (tell whoever asked). ``run`` puts them together.
"""

from __future__ import annotations

from django_userpods.reconcile.report import Failure, Report
from django_userpods.reconcile.run import reconcile

__all__ = ["Failure", "Report", "reconcile"]
