"""``manage.py run_userpods``: the controller, which makes database and cluster agree at once."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.controller.http import Server
from django_userpods.controller.logs import log_to_stderr
from django_userpods.controller.loop import Controller
from django_userpods.controller.metrics import Metrics
from django_userpods.controller.start import Start
from django_userpods.controller.term import Options
from django_userpods.exceptions import UserpodsError
from django_userpods.management.arguments import namespace, seconds
from django_userpods.management.base import EXIT_FAILED, UserpodsCommand

if TYPE_CHECKING:
    from types import FrameType

logger = logging.getLogger("django_userpods.controller")

#: Where Kubernetes tells a pod its own namespace.
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LISTEN = "127.0.0.1:8090"
_DEFAULTS = Options()


class Command(UserpodsCommand):
    """Keep database and cluster in agreement, until it is told to end."""

    help = gettext_noop(
        "Watch the cluster and the database and make them agree at once, for as long as it runs. "
        "Any number may run at the same time: one leads, the others stand by. SIGTERM ends it when "
        "what has begun is done."
    )
    # The cluster may be down, or the database without its tables: it says so, and goes on trying.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--resync",
            type=seconds,
            default=_DEFAULTS.resync,
            metavar=_("SECONDS"),
            help=_("how often to look at everything, as sync_userpods does [%(default)g]"),
        )
        parser.add_argument(
            "--lease-namespace",
            type=namespace,
            metavar=_("NAME"),
            help=_(
                "where the Lease is by which one leads [the pod's own namespace, else "
                "USERPODS_NAMESPACE]"
            ),
        )
        parser.add_argument(
            "--listen",
            type=_address,
            default=_LISTEN,
            metavar="HOST:PORT",
            help=_(
                "answer /healthz, /readyz and /metrics there; [::]:8090 is all addresses, IPv6 and "
                "IPv4 [%(default)s]"
            ),
        )
        parser.add_argument(
            "--grace",
            type=seconds,
            default=_DEFAULTS.grace,
            metavar=_("SECONDS"),
            help=_("how long to wait at shutdown for work in progress [%(default)g]"),
        )
        parser.add_argument(
            "--log-format",
            choices=["text", "json"],
            help=_("log to standard error, in lines of text or JSON [as LOGGING says]"),
        )

    def handle(self, **options: Any) -> None:  # noqa: ANN401
        """Run."""
        if options["log_format"] is not None:
            log_to_stderr(as_json=options["log_format"] == "json")
        host, port = _address(options["listen"])
        metrics = Metrics()
        try:
            get_cluster()
            make = partial(
                Controller,
                Options(resync=options["resync"], grace=options["grace"]),
                lease_namespace=options["lease_namespace"] or _lease_namespace(),
                metrics=metrics,
            )
            controller = Start(make)
            server = Server(
                host, port, healthy=controller.healthy, ready=controller.ready, metrics=metrics
            )
        except UserpodsError as error:
            raise CommandError(str(error), returncode=EXIT_FAILED) from error
        except OSError as error:
            message = f"--listen {options['listen']}: {error.strerror or error}"
            raise CommandError(message, returncode=EXIT_FAILED) from error

        def end(number: int, _frame: FrameType | None) -> None:
            # A second one ends it at once.
            signal.signal(number, signal.SIG_DFL)
            controller.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        if not conf.USERPODS_CONTROLLER:
            logger.warning(
                "USERPODS_CONTROLLER is not set: saves do their work themselves, beside this"
            )
        where = f"[{host}]" if ":" in host else host
        text = _("Running; /healthz, /readyz, /metrics at %(address)s")
        self.say(text % {"address": f"http://{where}:{server.port}/"})
        self.stdout.flush()
        try:
            ended = controller.run()
        except UserpodsError as error:
            raise CommandError(str(error), returncode=EXIT_FAILED) from error
        finally:
            server.close()
        if not ended:
            message = _("not all work in progress was finished in time; the next leader continues")
            raise CommandError(message, returncode=EXIT_FAILED)


def _lease_namespace() -> str:
    """Return the pod's own namespace, else that of users' pods."""
    try:
        own = _OWN_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        own = os.environ.get("POD_NAMESPACE", "")
    if own:
        return own
    namespace = conf.USERPODS_NAMESPACE
    if isinstance(namespace, str):
        return namespace
    message = _("USERPODS_NAMESPACE is a function: say where the Lease goes with --lease-namespace")
    raise CommandError(message, returncode=EXIT_FAILED)


def _address(text: str | tuple[str, int]) -> tuple[str, int]:
    if isinstance(text, tuple):
        return text
    written, _colon, port = text.rpartition(":")
    host = written.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and int(port) <= 65535
    # An IPv6 address has colons of its own, so it is in brackets, and nothing else is.
    if not host or not is_port or written != (f"[{host}]" if ":" in host else host):
        message = _("%(text)r is not HOST:PORT, as in 0.0.0.0:8090 or [::]:8090")
        raise argparse.ArgumentTypeError(message % {"text": text})
    return host, int(port)
