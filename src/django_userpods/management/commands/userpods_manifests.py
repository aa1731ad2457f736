"""``manage.py userpods_manifests``: the shipped manifests with this project's settings in them."""

from __future__ import annotations

import argparse
import ipaddress
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from django_userpods.core import naming
from django_userpods.core.objects import Kind
from django_userpods.deploy import kustomize, project, shipped
from django_userpods.exceptions import SettingError, UserpodsError
from django_userpods.management.arguments import namespace
from django_userpods.management.base import UserpodsCommand

#: What goes to stdout unless asked otherwise: what can stand side by side, with one way in.
STDOUT_GROUPS = ("isolation", "rbac", "router", "ingress")
_SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD")

_HELP = gettext_noop("""\
Write the Kubernetes manifests that come with django-userpods, with this project's settings in
them: addresses of site and pods, namespace, name prefix, instance, cluster domain, login address,
cookies, image, and the rights that the pod template needs. Nothing is sent anywhere: look at it,
then apply it.
""")
_EPILOG = gettext_noop("""\
what there is (for --only):
  isolation      the namespace of users' pods: Pod Security, network policies, quota
  rbac           ServiceAccount and exactly the rights that Django needs in it
  controller     run_userpods in two replicas, with an account of its own
  monitoring     alerts and a dashboard for it, and Prometheus' way to its port
  example        a Deployment of Django, with PostgreSQL and sync_userpods as a CronJob
  router         nginx with Lua that takes every signed-in user to their own pod
  ingress        an Ingress: the site's host to Django, pods' to the router
  gateway        or a Gateway and HTTPRoutes of the Gateway API
  ingress-nginx  or, without the router, ingress-nginx itself doing its work

examples:
  manage.py userpods_manifests | kubectl diff -f -
  manage.py userpods_manifests --only rbac | kubectl apply -f -
  manage.py userpods_manifests --output deploy/base
  kubectl apply -k deploy/base/example && kubectl apply -k deploy/base/router
  (with the controller: an overlay with the component deploy/base/example/controller)

Without --output everything goes to standard output as one stream of YAML (isolation, rbac, router
and ingress unless --only names others). With it, all become kustomize bases below the folder;
files that are there and differ are left alone, unless --force is given, and so are the secrets of
the example in any case. Keep what you change in overlays, and run this again after an upgrade.
""")


class Command(UserpodsCommand):
    """Write the shipped manifests with this project's settings in them."""

    help = _HELP

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:  # noqa: ANN401
        """Let ``--help`` keep its lines."""
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        return super().create_parser(prog_name, subcommand, epilog=_(_EPILOG), **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Define the options."""
        _add_output_options(parser)
        _add_site_options(parser)
        _add_gateway_options(parser)
        _add_pod_options(parser)

    def handle(self, **options: Any) -> None:  # noqa: ANN401
        """Run."""
        output: Path | None = options["output"]
        try:
            groups = self._groups(options["only"], output)
            values = project.values(
                groups,
                _project_options(options),
                secrets=self._secrets(groups, output),
                warn=self._warn,
            )
            if values.shared and "isolation" in groups:
                text = _(
                    "the namespace %(namespace)r is not for users' pods alone: `isolation` has "
                    "policies for them, but no default deny, quota and Pod Security. Better set "
                    "USERPODS_NAMESPACE to a namespace of its own."
                )
                self._warn(text % {"namespace": values.get("users-namespace")})
            if values.everywhere and "isolation" in groups:
                groups.remove("isolation")
                self._warn(
                    _(
                        "USERPODS_NAMESPACE is chosen per user: rights are for all namespaces, and "
                        "`isolation` is left out. Give each namespace its policies where you make "
                        "it."
                    )
                )
            written = shipped.tree(groups, values)
            if output is None:
                stream = _stream(written, groups, with_logs=options["logs"])
                self.stdout.write(stream, ending="")
            else:
                self._write_files(written, output, force=options["force"])
                self._say_what_has_to_be_there(groups, values, output)
        except SettingError as error:
            raise CommandError(f"{error}. {error.hint}".strip()) from error
        except (UserpodsError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error

    def _say_what_has_to_be_there(
        self, groups: list[str], values: shipped.ProjectValues, output: Path
    ) -> None:
        """Say in which namespaces things are put, since `kubectl apply` makes none by itself."""
        if "rbac" not in groups or values.everywhere:
            return
        users, django = values.get("users-namespace"), values.get("django-namespace")
        text = _(
            "`kubectl apply -k` needs the namespaces to be there. %(users)s: kubectl apply -k "
            "%(isolation)s makes it. %(django)s: %(example)s makes it, or `kubectl create "
            "namespace %(django)s`."
        )
        told = {"users": users, "django": django}
        self.say(text % {**told, "isolation": output / "isolation", "example": output / "example"})

    def _warn(self, message: str) -> None:
        self.complain(_("Note: %(message)s") % {"message": message})

    def _groups(self, only: list[str] | None, output: Path | None) -> list[str]:
        if only is None:
            only = list(STDOUT_GROUPS) if output is None else shipped.available()
        if "example" in only:
            # Its base stands on theirs.
            only = [*only, "isolation", "rbac"]
        return [group for group in shipped.GROUPS if group in only]

    def _secrets(self, groups: list[str], output: Path | None) -> dict[str, str]:
        if "example" not in groups:
            return {}
        if output is None:
            text = _(
                "%(key)s and %(password)s are left empty on standard output, where each run would "
                "make others: write them into the Secrets, or use --output."
            )
            self._warn(text % dict(zip(("key", "password"), _SECRETS, strict=True)))
            return {}
        path = output / "example" / "kustomization.yaml"
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        kept = dict(re.findall(rf"- ({'|'.join(_SECRETS)})=(\w+)$", there, flags=re.MULTILINE))
        return {name: kept.get(name) or secrets.token_hex(32) for name in _SECRETS}

    def _write_files(self, written: dict[Path, str], output: Path, *, force: bool) -> None:
        differing, new, same = [], [], 0
        for path, text in written.items():
            target = output / path
            if not target.exists():
                new.append(path)
            elif target.read_bytes() == text.encode():
                same += 1
            else:
                differing.append(path)
        if differing and not force:
            names = "".join(f"\n  {output / path}" for path in differing)
            text = _(
                "these files are there and differ, so nothing was written:%(names)s\n"
                "Overwrite them with --force."
            )
            raise CommandError(text % {"names": names})
        for path in [*new, *differing]:
            target = output / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.as_posix() == "example/kustomization.yaml":
                # It holds secrets.
                target.touch(mode=0o600)
            target.write_text(written[path], encoding="utf-8")
        text = _("%(where)s: %(new)s files written, %(over)s overwritten, %(same)s unchanged.")
        told = {"where": output, "new": len(new), "over": len(differing), "same": same}
        self.say(text % told)


def _stream(written: dict[Path, str], groups: list[str], *, with_logs: bool) -> str:
    """Return the groups as one stream of YAML, `rbac` with or without the right to see logs."""
    with tempfile.TemporaryDirectory(prefix="userpods-") as directory:
        top = Path(directory)
        for path, text in written.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text, encoding="utf-8")
        cluster_wide = not (top / "rbac" / "kustomization.yaml").exists()
        folders = [
            top / ("rbac/cluster" if group == "rbac" and cluster_wide else group)
            for group in groups
        ]
        if with_logs and "rbac" in groups:
            folders.append(top / ("rbac/cluster/logs" if cluster_wide else "rbac/logs"))
        return kustomize.build(folders)


# --- the options


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(_("what is written"))
    group.add_argument(
        "--only",
        type=_groups,
        metavar=_("NAMES"),
        help=_("only these, separated by commas: %(groups)s")
        % {"groups": ", ".join(shipped.GROUPS)},
    )
    group.add_argument(
        "--output", type=Path, metavar=_("DIR"), help=_("write kustomize bases below this folder")
    )
    group.add_argument(
        "--force", action="store_true", help=_("overwrite files that are there and differ")
    )


def _add_site_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(_("the site"))
    group.add_argument(
        "--django-namespace",
        type=namespace,
        default=shipped.DEFAULTS["django-namespace"],
        metavar=_("NAME"),
        help=_(
            "the namespace of Django and the router, which `example` makes and otherwise has "
            "to be there [%(default)s]"
        ),
    )
    group.add_argument(
        "--host",
        type=_host,
        metavar=_("NAME"),
        help=_(
            "the site's host name [that of USERPODS_SITE_URL, else the first of ALLOWED_HOSTS "
            "or of CSRF_TRUSTED_ORIGINS]"
        ),
    )
    group.add_argument(
        "--site-image",
        type=_image,
        metavar=_("IMAGE"),
        help=_("the image of Django in `example`"),
    )
    group.add_argument(
        "--site-path",
        action="append",
        type=_path,
        metavar=_("/PATH/"),
        help=_(
            "a path that belongs to Django, where pods are at / of the site's own host (no "
            "USERPODS_URL); given once or several times, in place of %(paths)s"
        )
        % {"paths": ", ".join(shipped.SITE_PATHS)},
    )


def _add_gateway_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(_("what is in the cluster already"))
    group.add_argument(
        "--gateway-class",
        type=_host,
        default=shipped.DEFAULTS["gateway-class"],
        metavar=_("NAME"),
        help=_("the GatewayClass in `gateway` [%(default)s]"),
    )
    group.add_argument(
        "--gateway-namespace",
        type=namespace,
        metavar=_("NAME"),
        help=_(
            "the namespace of your ingress or gateway: only its pods may then bring requests "
            "to Django and the router [anybody who can reach them; pods of users cannot]"
        ),
    )
    group.add_argument(
        "--monitoring-namespace",
        type=namespace,
        default=shipped.DEFAULTS["monitoring-namespace"],
        metavar=_("NAME"),
        help=_("the namespace of your Prometheus and Grafana, for `monitoring` [%(default)s]"),
    )


def _add_pod_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(_("users' pods"))
    group.add_argument(
        "--private",
        action="append",
        type=_cidr,
        default=[],
        metavar="CIDR",
        help=_(
            "more addresses that users' pods must not reach, such as a public address of the "
            "API server (private ranges are closed anyway); may be given several times"
        ),
    )
    group.add_argument(
        "--kind",
        action="append",
        type=_kind,
        default=[],
        metavar="APIVERSION/KIND",
        help=_(
            "one more kind that the pod template makes, such as v1/ConfigMap, where it is "
            "not found by looking; may be given several times"
        ),
    )
    group.add_argument(
        "--logs",
        action="store_true",
        help=_(
            "let Django see the events and logs of users' pods, for whoever may ask for them "
            "(with --output that is rbac/logs, to be applied or left)"
        ),
    )


def _project_options(options: dict[str, Any]) -> project.Options:
    return project.Options(
        django_namespace=options["django_namespace"],
        host=options["host"],
        site_image=options["site_image"],
        site_paths=options["site_path"],
        gateway_class=options["gateway_class"],
        gateway_namespace=options["gateway_namespace"],
        monitoring_namespace=options["monitoring_namespace"],
        private=options["private"],
        kinds=options["kind"],
    )


# --- what they may say


def _groups(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in shipped.GROUPS]
    if unknown or not names:
        message = _("%(text)r: there are %(groups)s")
        raise argparse.ArgumentTypeError(
            message % {"text": text, "groups": ", ".join(shipped.GROUPS)}
        )
    return names


def _host(text: str) -> str:
    if len(text) > 253 or not all(map(naming.is_valid_label, text.split("."))):
        message = _("%(text)r is not a DNS name (labels of a-z, 0-9 and '-', with dots between)")
        raise argparse.ArgumentTypeError(message % {"text": text})
    return text


def _image(text: str) -> str:
    if not re.fullmatch(r"[\w./:@-]+", text, flags=re.ASCII):
        message = _("%(text)r is not an image")
        raise argparse.ArgumentTypeError(message % {"text": text})
    return text


def _path(text: str) -> str:
    if not re.fullmatch(r"(= )?/[\w./~-]*", text, flags=re.ASCII):
        message = _("%(text)r is not a path such as /shop/ (or '= /shop' for that page alone)")
        raise argparse.ArgumentTypeError(message % {"text": text})
    return text


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _kind(text: str) -> Kind:
    if not re.fullmatch(r"([a-z0-9.-]+/)?v[0-9a-z]+/[A-Z][A-Za-z0-9]*", text):
        message = _("%(text)r is not like apps/v1/StatefulSet or v1/ConfigMap")
        raise argparse.ArgumentTypeError(message % {"text": text})
    return Kind.parse(text)
