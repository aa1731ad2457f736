"""gunicorn for the example project: threads, kept connections, nothing written to the image."""

from __future__ import annotations

import os
from pathlib import Path

bind = os.environ.get("BIND", "0.0.0.0:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "8"))
# Longer than the router keeps its connections, so that it is never the server who closes first.
keepalive = 15
timeout = 60
# Where no router takes the pods' cookies out, Django sees them, too.
limit_request_field_size = 65_536
# On SIGTERM, requests that have begun may end.
graceful_timeout = 20
# Heartbeats in memory: the root file system may be read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes a folder of its own in it
# Who may connect at all is the NetworkPolicy's business; the router sets X-Forwarded-Proto.
forwarded_allow_ips = "*"
# What else clients may send on this (X-Forwarded-Ssl) is nobody's word.
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
accesslog = "-" if os.environ.get("ACCESS_LOG") else None
# A socket for live administration in the home directory, which may be read-only (25 and later).
control_socket_disable = True
