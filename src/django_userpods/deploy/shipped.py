"""The shipped manifests: where they are, and how a project's own values get into them.

In the YAML files a comment ``# userpods:NAME`` marks a line whose default is to be replaced by the
value of that name. Comments stay, so what comes out reads like what was shipped. Files of the
router that are no YAML are changed at the places that ``_ROUTER`` names; a place that is not found
is an error, never left as it was. Nothing here reads settings or speaks to a cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from django_userpods.core import addresses
from django_userpods.core.addresses import Way
from django_userpods.deploy.rights import with_rules
from django_userpods.exceptions import ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from django_userpods.core.addresses import Addresses
    from django_userpods.core.objects import Kind

#: What there is, in the order in which it is to be applied.
GROUPS = (
    *("isolation", "rbac", "controller", "monitoring", "example"),
    *("router", "ingress", "gateway", "ingress-nginx"),
)
#: Of these, what takes requests in, and ends TLS.
WAYS_IN = ("ingress", "gateway", "ingress-nginx")

#: The values of the shipped files, by the names in their marks.
DEFAULTS = {
    "django-namespace": "userpods",
    "users-namespace": "userpods-users",
    "host": "userpods.example.org",
    "instance": "default",
    "user-image": "django-userpods-example-workload:1",
    "user-port": "8000",
    "site-image": "django-userpods-example-site:1",
    "gateway-class": "traefik",
    "monitoring-namespace": "monitoring",
    "cluster-domain": "cluster.local",
    "site-url": "https://userpods.example.org/",
    "pods-url": "https://{pod}.pods.example.org/",
    "pods-host": "*.pods.example.org",
    "pods-path": "/",
    "pods-tls": "userpods-pods-tls",
    "pods-listener": "pods-https",
    "waiting-path": "/.userpods/waiting/",
    "auth-signin": "https://$http_host/.userpods/sign-in?next=$escaped_request_uri",
}
#: Where pods are, as shipped.
_WHERE = addresses.parse(DEFAULTS["pods-url"])
#: Paths that are usually Django's where pods are at ``/`` of the site's own host.
SITE_PATHS = ("/accounts/", "/admin/", "/api/", "/static/", "/userpods/")

#: Files of ``isolation`` that are about everything in the namespace.
_WHOLE_NAMESPACE = ("namespace.yaml", "default-deny.yaml", "limits.yaml")
#: Files that end with the rights in users' namespaces.
_ROLES = (
    *("rbac/role.yaml", "rbac/cluster/clusterrole.yaml"),
    *("controller/role/role.yaml", "controller/cluster/clusterrole.yaml"),
)
_MARK = re.compile(r"[ \t]+(?:#|--) userpods:([a-z0-9-]+)$")
_LIST_MARK = re.compile(r"^([ \t]*)# userpods:(private-ipv[46]|site-paths|gateway-namespace)$")


@dataclass(frozen=True, kw_only=True)
class ProjectValues:
    """A project's own values.

    ``text`` is keyed as ``DEFAULTS`` is and may leave names out. ``rules`` are the verbs that
    Django needs for each kind. ``everywhere``: the namespace is chosen per user, so rights hold in
    all of them and there is no one namespace to isolate. ``shared``: others use the namespace too,
    so nothing may be said of it as a whole. ``private``: more addresses (CIDR) that users' pods may
    not reach. ``where``: pods' addresses; None for ``/`` of the site's own host, where
    ``site_paths`` are Django's. ``lua``: the router's settings that differ from its defaults.
    ``gateway_namespace``: the only one whose pods may bring requests in, if any is named.
    ``secrets``: texts for the example's Secrets by key.
    """

    text: Mapping[str, str] = field(default_factory=dict)
    where: Addresses | None = _WHERE
    rules: Mapping[Kind, Collection[str]] = field(default_factory=dict)
    everywhere: bool = False
    shared: bool = False
    private: Collection[str] = ()
    lua: Mapping[str, str | list[str]] = field(default_factory=dict)
    site_paths: Collection[str] = ()
    gateway_namespace: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return one value, the shipped one where the project has none."""
        return self.text.get(name) or self._of_addresses().get(name, DEFAULTS[name])

    @property
    def is_one_host(self) -> bool:
        """Whether the site and all pods are on the site's own host."""
        return self.where is None or self.where.way is Way.PATHS

    def _of_addresses(self) -> dict[str, str]:
        where, host = self.where, self.text.get("host", DEFAULTS["host"])
        found = {"pods-url": text_of(where), "site-url": f"https://{host}/"}
        if where is None:
            found["site-url"] = ""
        if self.is_one_host:
            found |= {"pods-host": host, "pods-tls": "userpods-tls", "pods-listener": "https"}
            found["pods-path"] = where.prefix if where else "/"
            found["waiting-path"] = str(self.lua.get("waiting_path", "/userpods/waiting/"))
            login = str(self.lua.get("login_url", "/accounts/login/"))
            login = f"https://{host}{login}" if login.startswith("/") else login
            found["auth-signin"] = f"{login}?next=$escaped_request_uri"
        elif where is not None:
            is_each = where.way is Way.HOSTS
            found["pods-host"] = f"*{where.host}" if is_each else where.host
        return found


def text_of(where: Addresses | None) -> str:
    """Return the text of ``USERPODS_URL``, "" for None."""
    if where is None:
        return ""
    is_path = where.way is Way.PATHS
    return where.path(addresses.POD) if is_path else where.url(addresses.POD)


def source() -> Path:
    """Return the folder of the shipped manifests: in an installed package, or in a checkout."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "manifests", here.parents[3] / "manifests"):
        if (folder / "rbac").is_dir():
            return folder
    message = "the manifests are missing from this installation of django-userpods: reinstall it"
    raise ManifestError(message)


def available() -> list[str]:
    """Return the groups that this installation has, in the order of ``GROUPS``."""
    return [group for group in GROUPS if (source() / group).is_dir()]


def tree(groups: Iterable[str], values: ProjectValues) -> dict[Path, str]:
    """Return the files of these groups with the project's values in them, by path below a top."""
    return {
        path: fill(path, text, values)
        for path, text in files(groups)
        # Of the two ways to give rights, the one that these values need.
        if (path.parts[0] != "rbac" or (path.parts[1] == "cluster") == values.everywhere)
        and path.parts[:2] != ("controller", "role" if values.everywhere else "cluster")
        and not (values.shared and path.parts[0] == "isolation" and path.name in _WHOLE_NAMESPACE)
    }


def files(groups: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """Yield each shipped file of these groups as (path below ``source()``, text)."""
    top = source()
    for group in groups:
        if not (top / group).is_dir():
            message = f"this installation of django-userpods has no manifests {group!r}"
            raise ManifestError(message)
        for path in sorted((top / group).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(top), path.read_text(encoding="utf-8")


def fill(path: Path, text: str, values: ProjectValues) -> str:
    """Return a shipped file's text with the project's values in it."""
    name = path.as_posix()
    lines: list[str] = []
    for line in text.splitlines():
        if found := _LIST_MARK.match(line):
            lines.extend(found[1] + text for text in _list(found[2], values))
        else:
            lines.append(_fill_line(line, values, where=name))
    text = "\n".join(lines) + "\n"
    if name in _ROLES:
        text = with_rules(text, values.rules)
    elif name == "controller/kustomization.yaml" and values.everywhere:
        text = _replaced(text, r"^- role$", lambda _: "- cluster", where=name)
    elif name == "example/kustomization.yaml" and values.everywhere:
        text = _replaced(text, r"^- \.\./isolation\n", lambda _: "", where=name)
        text = _replaced(text, r"^- \.\./rbac$", lambda _: "- ../rbac/cluster", where=name)
    elif name == "isolation/kustomization.yaml" and values.shared:
        for whole in _WHOLE_NAMESPACE:
            text = _replaced(text, rf"^- {re.escape(whole)}\n", lambda _: "", where=name)
    for edited, pattern, replacement in _ROUTER:
        if edited == name:
            text = _replaced(text, pattern, partial(replacement, values), where=name)
    return _of_one_host(name, text, values) if values.is_one_host else text


def _list(name: str, values: ProjectValues) -> list[str]:
    """Return the lines that take the place of a mark that stands for a list."""
    if name == "site-paths":
        width = max(map(len, values.site_paths), default=0)
        return [
            f"location {path.ljust(width)} {{ include site.conf; }}" for path in values.site_paths
        ]
    if name == "gateway-namespace":
        labels = f"kubernetes.io/metadata.name: {values.gateway_namespace}"
        lines = ["from:", "- namespaceSelector:", "    matchLabels:", f"      {labels}"]
        return lines if values.gateway_namespace else []
    version = name[-1]
    return [f"- {cidr}" for cidr in values.private if (":" in cidr) == (version == "6")]


def _of_one_host(name: str, text: str, values: ProjectValues) -> str:
    """Return a way in without what is for hosts of pods' own."""
    if name == "gateway/gateway.yaml":
        return _replaced(text, r"^  - name: pods-https?\n(?:   .*\n)+", lambda _: "", where=name)
    if name == "gateway/httproute.yaml":
        pattern = r"^  - name: userpods\n    sectionName: pods-http\n"
        text = _replaced(text, pattern, lambda _: "", where=name)
    if values.where is None and name in ("gateway/httproute.yaml", "ingress/ingress.yaml"):
        # The router takes all of the host, and knows the site's paths.
        return text.partition("\n---\n")[2]
    if name == "ingress-nginx/service.yaml":
        return text.partition("\n---\n")[0] + "\n"
    if name == "ingress-nginx/ingress.yaml":
        site, _, pods = text.split("\n---\n")
        if values.where is None:
            site = _with_paths(site, values.site_paths, where=name)
        return f"{site}\n---\n{pods}"
    return text


def _with_paths(ingress: str, paths: Iterable[str], *, where: str) -> str:
    """Return an Ingress for several paths in place of ``/``; ``= /x`` is exact, as in nginx."""

    def several(found: re.Match[str]) -> str:
        exact = found[2].replace("Prefix", "Exact")
        return "\n".join(
            found[1] + path.removeprefix("= ") + (exact if path.startswith("= ") else found[2])
            for path in paths
        )

    return _replaced(ingress, r"^( +- path: )/(\n.*\n.*)$", several, where=where)


def _fill_line(line: str, values: ProjectValues, *, where: str) -> str:
    mark = _MARK.search(line)
    if mark is None:
        return line
    name, body = mark[1], line[: mark.start()]
    if name == "secret":
        key = body.rpartition("- ")[2].rstrip("=")
        return body + values.secrets.get(key, "")
    if name not in DEFAULTS:
        message = f"{where}: nothing is known of the mark userpods:{name}"
        raise ManifestError(message)
    default = re.escape(DEFAULTS[name])
    value = values.get(name)
    filled, count = re.subn(rf"(?<![\w.-]){default}(?![\w-])", lambda _: value, body)
    if not count:
        message = f"{where}: {DEFAULTS[name]!r} is not in the line marked userpods:{name}"
        raise ManifestError(message)
    return filled


def _replaced(
    text: str, pattern: str, replacement: Callable[[re.Match[str]], str], *, where: str
) -> str:
    changed, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if not count:
        message = f"{where}: {pattern!r} is not found, so the file cannot be filled in"
        raise ManifestError(message)
    return changed


# --- the router's own files


def _lua(values: ProjectValues, _: re.Match[str]) -> str:
    lines = [f"    {name} = {_lua_value(value)}," for name, value in values.lua.items()]
    return "return {\n" + "\n".join(lines) + '\n    internal = "127.0.0.1:8081",\n}'


def _pods_conf(values: ProjectValues, _: re.Match[str]) -> str:
    """Return what goes with ``pods_url``: see docs/router.md, "Where pods are found"."""
    files = [] if values.is_one_host else ["reserved.conf"]
    if values.where is None or values.where.way is not Way.HOSTS:
        files.append("shared-host.conf")
    return "\n".join(f"include {file};" for file in files)


def _lua_value(value: str | list[str]) -> str:
    if isinstance(value, list):
        return "{ " + ", ".join(map(_lua_value, value)) + " }"
    # Lua's decimal escapes are for single bytes; everything beyond ASCII stays as it is.
    escaped = re.sub(r'[\x00-\x1f"\\\x7f]', lambda found: f"\\{ord(found[0]):03d}", value)
    return f'"{escaped}"'


def _lua_names(values: ProjectValues, found: re.Match[str], *, setting: str) -> str:
    """Return a set of the cookies' names in one of the router's settings, as Lua has it."""
    names = values.lua.get(setting)
    if not isinstance(names, list):
        return found[0]
    if setting == "cookies":
        names = [name.lower() for name in names]
    entries = (f"[{_lua_value(name)}] = true" for name in names)
    return found[1] + "{ " + ", ".join(entries) + " }"


#: (file, pattern, what takes its place).
_ROUTER: tuple[tuple[str, str, Callable[[ProjectValues, re.Match[str]], str]], ...] = (
    ("router/settings/settings.lua", r"^return \{\n(?:.*\n)*?\}", _lua),
    ("router/settings/pods.conf", r"^include .*;$", _pods_conf),
    (
        "router/settings/http.conf",
        r"\bdjango\.userpods\.svc\.cluster\.local\b",
        lambda v, _: f"django.{v.get('django-namespace')}.svc.{v.get('cluster-domain')}",
    ),
    ("router/settings/http.conf", r"\buserpods\.example\.org\b", lambda v, _: v.get("host")),
    (
        "ingress-nginx/ingress.yaml",
        r"\bdjango\.userpods\.svc\.cluster\.local\b",
        lambda v, _: f"django.{v.get('django-namespace')}.svc.{v.get('cluster-domain')}",
    ),
    (
        "ingress-nginx/server-snippet.conf",
        r"^( +local COOKIES = )\{.*\}$",
        partial(_lua_names, setting="cookies"),
    ),
    (
        "ingress-nginx/server-snippet.conf",
        r"^( +local CREDENTIALS = )\{.*\}$",
        partial(_lua_names, setting="credential_cookies"),
    ),
    (
        "ingress-nginx/server-snippet.conf",
        r"^( +local TOKEN_PREFIX = ).*$",
        lambda v, found: found[1] + _lua_value(v.lua.get("token_prefix", "upt_")),
    ),
)
