"""The controller, ``manage.py run_userpods``: it watches, and keeps asking for reconciles.

It has no second code path: watches and the database's own changes tell it *which* pods to look
at, and ``reconcile`` does the rest. What is here in the order of dependence: ``queue`` (which pods
are to be looked at, and when), ``leader`` (one of many acts), ``changes`` (what the database
says), ``watcher`` (what the cluster says), ``loop`` (puts them together), ``metrics`` and ``http``
(how it is doing).
"""

from __future__ import annotations
