"""Examples for a world where pods have addresses: requests of one connection, sent twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.router.fuzz import addressed_oracles as oracles
from tests.router.fuzz.addressed_requests import HOSTS, PATHS
from tests.router.fuzz.oracles import Finding, log_findings
from tests.router.fuzz.world import reading_of
from tests.router.wire import Answer, Gone, Malformed, Wire

if TYPE_CHECKING:
    from tests.router.fuzz.world import World

#: Seconds for an answer; the first where an odd end of a line may keep nginx waiting for more.
IMPATIENCE, PATIENCE = 0.15, 10.0


@dataclass(frozen=True)
class AddressedExample:
    """Heads of requests, and what pods set as cookies. ``pods_url`` is the world's."""

    pods_url: str
    requests: tuple[bytes, ...]
    #: Lines of headers in pods' answers.
    sets: bytes = b""

    @property
    def has_hosts(self) -> bool:
        return "://" in self.pods_url

    def run(self, world: World) -> list[Finding]:
        for pod in (world.alice, world.bob):
            pod.more = self.sets
        found: list[Finding] = []
        wire = world.clients.connect()
        try:
            # The second time the router may remember.
            for request in self.requests * 2:
                more, keeps = self._one(world, wire, world.filled(request))
                found += more
                if not keeps:
                    wire.close()
                    wire = world.clients.connect()
        finally:
            wire.close()
        return found + log_findings(world.logged())

    def _one(self, world: World, wire: Wire, data: bytes) -> tuple[list[Finding], bool]:
        """What is wrong with one request and its answer; whether another may follow."""
        if not (data := first_head(data)):
            return [], True
        pods = (world.alice, world.bob)
        for pod in pods:
            pod.broken.clear()
        method = data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1")
        is_odd = re.search(rb"\r(?!\n)|(?<!\r)\n", data)
        wire.connection.settimeout(IMPATIENCE if is_odd else PATIENCE)
        try:
            world.clients.sent(wire)
            wire.send(data)
            answer = wire.answer(method)
        except Malformed as error:
            return [Finding("malformed", str(error)[:20], f"{data!r}")], False
        except (Gone, OSError):
            answer = None
        found = oracles.told_findings(data, told := world.told(wire), self.has_hosts)
        world.count["questions to whoami"] += len(told)
        for pod in pods:
            found += [Finding("broken", "a request to a pod", text) for text in pod.broken]
        went, more = world.clients.arrived(wire, pods)
        found += more
        through = reading_of(answer.body) if answer else None
        if len(went) + bool(through) > 1:
            found.append(Finding("smuggled", "a request", f"{len(went)} of {data!r}"))
        world.count["requests that reached a pod"] += len(went)
        world.count["requests that reached the site"] += bool(through)
        if through:
            found += oracles.site_findings(data, through, self.has_hosts)
        for pod, received in went[:1]:
            secrets = [it for name, it in world.secrets.items() if self._is_secret(name)]
            found += oracles.pod_findings(data, pod.name, received, self.has_hosts, secrets)
            place = oracles.place_of(received, self.has_hosts)
            granted = world.granted(*place, oracles.credentials_of(data))
            world.count["compared with whoami's own word"] += granted is not None
            if granted not in {None, pod.name}:
                detail = f"{pod.name}'s pod, but at {place} whoami lets in {granted!r}: {data!r}"
                found.append(Finding("identity", "not granted", detail))
            if answer:
                found += self._answered(answer, method, pod.says(received.request.target))
        if oracles.is_started_elsewhere(method, oracles.fields_of(data)):
            world.count["requests that another origin started"] += 1
        return found, answer is not None and answer.keeps

    def _answered(self, answer: Answer, method: str, body: bytes) -> list[Finding]:
        found = oracles.set_cookie_findings(answer, self.has_hosts)
        if answer.status == 200 and method != "HEAD" and answer.body != body:
            found.append(Finding("leak", "another answer", f"{answer.body[:300]!r}, not {body!r}"))
        return found

    def _is_secret(self, name: bytes) -> bool:
        """Whether what stands for this credential is one on this way."""
        return name[1:2] in (b"HT" if self.has_hosts else b"STC")


def first_head(data: bytes) -> bytes:
    """The first request, as far as its head, with what is before it; b"" where there is none."""
    start = len(data) - len(data.lstrip(b"\r\n"))
    if start == len(data):
        return b""
    end = re.compile(rb"\r?\n\r?\n").search(data, start)
    return data[: end.end()] if end else data.rstrip(b"\r\n") + b"\r\n\r\n"


def _request(way: str, path: bytes, *lines: bytes) -> bytes:
    host, cookie = (
        (b"alice.pods.test", b"__Host-userpods=@HA@")
        if way == HOSTS
        else (b"site.test", b"sessionid=@SA@")
    )
    first = b"GET %b HTTP/1.1\r\nHost: %b\r\nCookie: %b" % (path, host, cookie)
    return b"\r\n".join([first, *lines, b"", b""])


_OF_HOSTS = (
    b"/ /.userpods/status/ /%2euserpods/ //.userpods/ /.userpods/../x /x/../.userpods/ /.userpods;x"
    b" /.userpods /./.userpods/ /.userpods/%2e%2e/x /.userpods%2fx /\\.userpods/"
).split()
_OF_PATHS = (
    b"/pods/alice/ /pods/bob/ /pods/alice/../bob/ /pods/alice/%2e%2e/bob/ /pods//alice/"
    b" //pods/alice/ /pods/alice/..%2fbob/ /pods/%61lice/ /x/../pods/alice/ /pods/alice?/"
    b" /pods/alice;/ /admin/"
).split()
_MORE = (
    (),
    (b"X-Userpods-Host: bob.pods.test", b"X-Userpods-Path: /pods/bob/"),
    (b"Origin: https://bob.pods.test",),
    (b"Sec-Fetch-Site: same-site",),
    (b"Host: bob.pods.test",),
    (b"Cookie: a=1, __Host-userpods=@HA@",),
    # Under names that are taken for ours, after a comma, and by its value.
    (
        b"Cookie: a=1,__Host-userpods=@HA@; b=near, \xa0__Host-userpods=@HA@; x=@HA@; y=-@SA@-",
        b"Cookie: c=1,sessionid=@SA@; d=1,userpods_token=@TA@; z=near,\xc2\xa0sessionid=\x85@SA@",
        b"Cookie: Userpods_Token=@TA@; __Secure-userpods_token=@TA@; SessionID=@SA@",
        b"Cookie: __Host-sessionid=@SA@; _Host-userpods=near",
    ),
)
#: What was always tried against these ways.
KNOWN: list[AddressedExample] = [
    AddressedExample(way, tuple(_request(way, path, *more) for more in _MORE))
    for way, paths in ((HOSTS, _OF_HOSTS), (PATHS, _OF_PATHS))
    for path in paths
]


def pods_answer(world: World) -> list[Finding]:
    """Alice still reaches her pod and not bob's."""
    own, others = (b"/still", b"/.userpods/../x")
    if world.pods_url == PATHS:
        own, others = (b"/pods/alice/still", b"/pods/bob/")
    world.alice.more = b""
    found: list[Finding] = []
    for path, status in ((own, 200), (others, None)):
        wire = world.clients.connect()
        try:
            world.clients.sent(wire)
            wire.send(world.filled(_request(world.pods_url, path)))
            answer = wire.answer()
            found += world.clients.arrived(wire, (world.alice, world.bob))[1]
        except (Gone, Malformed, OSError) as error:
            found.append(Finding("alive", "no answer", f"{path!r}: {error!r}"))
            continue
        finally:
            wire.close()
        if (answer.status == 200) != (status == 200):
            found.append(Finding("alive", "wrong", f"{path!r}: {bytes(wire.seen[:300])!r}"))
    return found
