"""The three ways to users' pods, as the demo offers them on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from demo_machine import DemoError

#: ``USERPODS_URL`` of each way; the site itself is at ``http://localhost:PORT/``. Browsers and curl
#: find every name below ``localhost`` on this machine.
WAYS = {
    "host": "http://{{pod}}.localhost:{port}/",
    "one": "http://app.localhost:{port}/",
    "path": "/pods/{{pod}}/",
}


@dataclass(frozen=True)
class Way:
    """One of the three, on a port."""

    name: str
    port: int

    def __post_init__(self) -> None:
        if self.name not in WAYS:
            msg = f"DEMO_WAY is {self.name!r}: it can be {', '.join(WAYS)}"
            raise DemoError(msg)

    @property
    def has_hosts(self) -> bool:
        """Whether pods are on other hosts than the site's."""
        return not self.pods.startswith("/")

    @property
    def includes(self) -> list[str]:
        """What ``settings/pods.conf`` of the router includes."""
        own = ["reserved.conf"] if self.has_hosts else []
        return own if self.name == "host" else [*own, "shared-host.conf"]

    @property
    def site(self) -> str:
        """The site's own address."""
        return f"http://localhost:{self.port}/"

    @property
    def pods(self) -> str:
        """``USERPODS_URL``."""
        return WAYS[self.name].format(port=self.port)

    def pod(self, user: str) -> str:
        """Return the address of a user's pod."""
        path = self.pods.replace("{pod}", user)
        return self.site + path.lstrip("/") if path.startswith("/") else path
