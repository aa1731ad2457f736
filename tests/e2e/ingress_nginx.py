"""The real ingress-nginx controller as a Deployment, on Debian's nginx.

Controller, template and Lua come from the controller's Go module. Its own nginx image does not, so
there are small changes, each named here: modules are loaded by a wrapper, Lua modules that Debian
lacks are replaced, and the template loses its ``stream`` block, which needs Lua for TCP.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from tests.testcluster import apt, build, images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.site import Site

IMAGE = "localhost/ingress-nginx:1"
NAMESPACE = "ingress-nginx"
MODULE = "k8s.io/ingress-nginx"
PACKAGES = (
    *apt.packages("router"),
    "libnginx-mod-http-headers-more-filter",
    "libnginx-mod-http-set-misc",
    "lua-nginx-dns",
    "lua-nginx-cookie",
    "diffutils",
)

# nginx for the controller: with the modules that its own image has built in. TLS keys that it may
# not read as another user are root's, as it is.
_NGINX = """#!/bin/sh
modules=/usr/lib/nginx/modules
exec /usr/sbin/nginx -g "load_module $modules/ndk_http_module.so;
load_module $modules/ngx_http_lua_module.so;
load_module $modules/ngx_http_headers_more_filter_module.so;
load_module $modules/ngx_http_set_misc_module.so; user root;" "$@"
"""

# Lua modules of the controller's image; those that nothing here uses are empty.
_LUA = {
    "resty/dns/resolver": 'return require("nginx.dns.resolver")',
    "resty/cookie": 'return require("nginx.cookie")',
    "resty/ipmatcher": "return {}",
    "resty/global_throttle": "return {}",
    "resty/http": "return {}",
    "resty/lock": """
        -- One attempt and no waiting, which is how the controller asks for it.
        local lock = {}
        lock.__index = lock
        function lock.new(_, dict, options)
            return setmetatable({ dict = ngx.shared[dict], options = options }, lock)
        end
        function lock:lock(key)
            local ok, err = self.dict:add(key, true, self.options.exptime)
            self.key = ok and key
            return ok and 0, err
        end
        function lock:unlock()
            self.dict:delete(self.key)
            return 1
        end
        return lock
    """,
    "resty/roundrobin": """
        local ring = {}
        ring.__index = ring
        function ring.new(_, nodes)
            return setmetatable({}, ring):reinit(nodes)
        end
        function ring:reinit(nodes)
            self.nodes, self.names, self.at = nodes, {}, 0
            for name in pairs(nodes) do
                self.names[#self.names + 1] = name
            end
            return self
        end
        function ring:find()
            self.at = self.at % #self.names + 1
            return self.names[self.at]
        end
        return ring
    """,
    "resty/chash": "return {}",
}

# Takes what the controller tells its TCP part, which is not there, and throws it away. The
# controller refuses to start while anybody has that port, so not before it has begun to serve.
_SINK = (
    "use IO::Socket::INET; $SIG{PIPE} = 'IGNORE';"
    "select undef, undef, undef, 0.1 until IO::Socket::INET->new('127.0.0.1:10254');"
    "$s = IO::Socket::INET->new(Listen => 9, LocalAddr => '127.0.0.1:10247', ReuseAddr => 1);"
    "while ($c = $s->accept) { 1 while sysread $c, $_, 65536; close $c }"
)


def image() -> Path:
    """The controller's image."""
    module = build.module_dir("ingressnginx", MODULE) / "rootfs" / "etc" / "nginx"
    template = (module / "template" / "nginx.tmpl").read_text()
    without_stream, found = re.subn(r"^stream \{\n.*?^\}\n", "", template, flags=re.M | re.S)
    assert found == 1
    files: dict[str, images.Source] = {
        "/nginx-ingress-controller": build.binary("ingressnginx"),
        "/usr/local/bin/ingress-nginx": (_NGINX, 0o755),
        # What it starts with, until the controller has written its own.
        "/etc/nginx/nginx.conf": module / "nginx.conf",
        "/etc/nginx/template/nginx.tmpl": without_stream,
        "/etc/nginx/lua": module / "lua",
        **{f"/etc/nginx/lua/{name}.lua": text for name, text in _LUA.items()},
        **{f"/etc/ingress-controller/{name}/.keep": "" for name in ("ssl", "auth", "geoip")},
        "/etc/ingress-controller/telemetry/.keep": "",
        "/tmp/nginx/.keep": "",  # noqa: S108 - an image's
    }
    config = images.Config(
        env={"NGINX_BINARY": "/usr/local/bin/ingress-nginx"}, user="0:0", workdir="/etc/nginx"
    )
    return images.debian_image(IMAGE, packages=PACKAGES, files=files, config=config)


@contextmanager
def controller(site: Site) -> Iterator[str]:
    """The address of the controller, which has nothing to serve yet; gone afterwards."""
    site.cluster.load_image(image())
    site.put_certificate()
    site.cluster.apply(*objects())
    # Debian's nginx is older than the directive. Not by `apply`, which would take the setting away
    # again when the manifests' own part of this ConfigMap comes.
    site.cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "ingress-nginx-controller", "namespace": NAMESPACE},
            "data": {"use-http2": "false"},
        }
    )
    site.rollout("deployment/controller", namespace=NAMESPACE)
    yield site.address("controller", namespace=NAMESPACE)
    site.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def objects() -> list[dict[str, Any]]:
    """The controller's namespace, rights, class, Deployment and Service."""
    labels = {"app.kubernetes.io/name": "ingress-nginx"}
    return [
        *yaml.safe_load_all(_RIGHTS),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "controller", "namespace": NAMESPACE},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"serviceAccountName": "controller", "containers": [container()]},
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "controller", "namespace": NAMESPACE},
            "spec": {
                "selector": labels,
                "ports": [
                    {"name": "http", "port": 80, "targetPort": 8080},
                    {"name": "https", "port": 443, "targetPort": 8443},
                ],
            },
        },
    ]


def container() -> dict[str, Any]:
    """The controller's container, ready to run what the image has."""
    arguments = [
        f"--configmap={NAMESPACE}/ingress-nginx-controller",
        "--watch-ingress-without-class=false",
        "--update-status=false",
        "--enable-metrics=false",
        "--disable-leader-election=true",
        "--http-port=8080",
        "--https-port=8443",
        "--default-server-port=8182",
    ]
    start = f'perl -e "$SINK" & exec /nginx-ingress-controller {" ".join(arguments)}'
    names = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    return {
        "name": "controller",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", start],
        "env": [
            {"name": "SINK", "value": _SINK},
            *(
                {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
                for name, path in names.items()
            ),
        ],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 10254}, "periodSeconds": 1},
        # As in its own manifests: a pod without a request gets what others leave.
        "resources": {"requests": {"cpu": "100m", "memory": "90Mi"}},
    }


_RIGHTS = """
apiVersion: v1
kind: Namespace
metadata: {name: ingress-nginx}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: controller, namespace: ingress-nginx}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ingress-nginx}
rules:
- apiGroups: [""]
  resources: [configmaps, endpoints, namespaces, nodes, pods, secrets, services]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses, ingressclasses]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ingress-nginx}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ingress-nginx}
subjects:
- {kind: ServiceAccount, name: controller, namespace: ingress-nginx}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
"""
