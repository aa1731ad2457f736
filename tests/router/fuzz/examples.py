"""One example each: what a client sends, or what a pod answers; the findings it leads to."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.router.fuzz import oracles
from tests.router.fuzz.oracles import Finding
from tests.router.fuzz.world import PATIENCE, World, reading_of
from tests.router.wire import Answer, Gone, Malformed, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.router.fuzz.pods import Pod, Program

_numbers = itertools.count(1)
#: Seconds for which the router may leave a pod alone that answered in a way it refuses.
RESTS = 4.5
#: How often another pod is tried where the router did not ask one.
TRIES = 100


@dataclass(frozen=True)
class ClientExample:
    """Bytes of a client, sent twice: the second time the router may remember who it is."""

    data: bytes

    def run(self, world: World) -> list[Finding]:
        data = world.filled(self.data)
        found, first = self._once(world, data)
        more, then = self._once(world, data)
        if None not in (first, then) and first != then:
            found.append(Finding("cache", "differs", f"first to {first}, then to {then}"))
        return found + more

    def _once(self, world: World, data: bytes) -> tuple[list[Finding], list[str] | None]:
        """What is wrong, and whose pods it went to; None where the router waits for more."""
        pods = (world.alice, world.bob)
        for pod in pods:
            pod.program = None
            pod.broken.clear()
        most = oracles.most_requests(data)
        wire = world.clients.connect(PATIENCE)
        world.clients.sent(wire, most, data)
        answers, found, waits = self.exchange(wire, data)
        found += oracles.log_findings(world.logged())
        arrived, more = world.clients.arrived(wire, pods)
        found += more
        went = [pod.name for pod, _ in arrived]
        throughs = [reading_of(answer.body) for answer in answers]
        if len(went) + sum(map(bool, throughs)) > most:
            found.append(Finding("smuggled", "a request", f"{went}, {len(answers)} answers"))
        reading = world.reading(oracles.for_gunicorn(data)) if went or any(throughs) else None
        world.count["requests that reached a pod"] += len(went)
        world.count["requests that reached the site"] += sum(map(bool, throughs))
        world.count["compared with Django's own reading"] += reading is not None
        for pod in pods:
            found += [Finding("broken", "a request to a pod", text) for text in pod.broken]
        if most == 1:
            for pod, received in arrived[:1]:
                found += oracles.pod_findings(data, pod.name, received, reading)
        if most == 1 and reading and throughs and (through := throughs[0]):
            found += oracles.site_findings(data, through, reading)
        return found, None if waits else went

    def exchange(self, wire: Wire, data: bytes) -> tuple[list[Answer], list[Finding], bool]:
        """Send the bytes; all answers, what is wrong with them, whether the router still waits."""
        method = data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1").upper()
        answers: list[Answer] = []
        try:
            wire.send(data)
            while True:
                answers.append(wire.answer(method if not answers else "GET"))
                if not answers[-1].keeps or oracles.most_requests(data) <= len(answers):
                    break
        except TimeoutError:
            return answers, [], True
        except (Gone, OSError):
            pass
        except Malformed as error:
            return answers, [malformed(error, wire)], False
        finally:
            wire.close()
        return answers, [], False


@dataclass(frozen=True)
class PodExample:
    """What a hostile pod answers its user, and bob's request after it on the same connection."""

    #: The method, the version, and more headers, of the user's request.
    asked: tuple[bytes, bytes, bytes]
    program: Program

    def run(self, world: World) -> list[Finding]:
        for _ in range(TRIES):
            pod = world.hostile()
            pod.program = self.program
            pod.received.clear()
            found = self._connect(world, pod)
            if pod.received:
                return found + oracles.log_findings(world.logged())
            pod.rests = time.monotonic() + RESTS
        # Not for Hypothesis, which would look for a smaller one.
        raise SystemExit(f"the router asked no hostile pod in {TRIES} tries")

    def _connect(self, world: World, pod: Pod) -> list[Finding]:
        wire = world.clients.connect(PATIENCE)
        try:
            return self._ask(world, wire, pod)
        except (Gone, OSError):
            return []
        except Malformed as error:
            return [malformed(error, wire)]
        finally:
            wire.close()

    def _ask(self, world: World, wire: Wire, pod: Pod) -> list[Finding]:
        method, version, more = self.asked
        cookie = b"Host: site.test\r\nCookie: sessionid=%b\r\nContent-Length: 0\r\n" % pod.session
        wire.send(b"%b /hostile %b\r\n%b%b\r\n" % (method, version, cookie, more))
        try:
            answer = wire.answer(method.decode())
        except TimeoutError:
            # A pod that never ends its answer: nobody can follow it.
            return []
        world.count["answers of hostile pods"] += 1
        found = oracles.set_cookie_findings(answer)
        if answer.status == 101:
            if b"websocket" not in more.lower():
                found.append(Finding("malformed", "an unasked 101", repr(bytes(wire.seen[:300]))))
            return found
        if not answer.keeps:
            if rest := wire.rest(0.5):
                found.append(Finding("leak", "bytes after the end", repr(rest[:300])))
            return found
        return found + self._bob(world, wire)

    def _bob(self, world: World, wire: Wire) -> list[Finding]:
        target = f"/of-bob-{next(_numbers)}"
        before = len(wire.seen)
        request = f"GET {target} HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=@SB@\r\n\r\n"
        world.clients.sent(wire)
        wire.send(world.filled(request.encode()))
        try:
            wire.connection.settimeout(3)
            answer = wire.answer()
        except TimeoutError:
            return [Finding("stuck", "the next user waits", repr(bytes(wire.seen[:300])))]
        except Malformed as error:
            return [Finding("leak", "bytes of another pod", f"{error}: {wire.seen[before:]!r}")]
        _, found = world.clients.arrived(wire, (world.bob,))
        world.count["next users on the connection"] += 1
        wanted = world.bob.says(target)
        found += oracles.next_user_findings(bytes(wire.seen[before:]), answer, wanted)
        if rest := wire.rest(self.program.pause * 2):
            found.append(Finding("leak", "bytes that nobody asked for", repr(rest[:300])))
        return found


def malformed(error: Malformed, wire: Wire) -> Finding:
    kind, _, _ = str(error).partition(":")
    return Finding("malformed", kind, f"{error}, in {bytes(wire.seen[:300])!r}")


def site_answers(world: World) -> list[Finding]:
    """The site, and both users' pods, still answer as they should."""
    checks: list[tuple[bytes, Callable[[bytes], Any], Any]] = [
        (b"GET /admin/ HTTP/1.1\r\nCookie: sessionid=@SA@", _user, "alice"),
        (b"GET /still HTTP/1.1\r\nCookie: sessionid=@SA@", bytes, world.alice.says("/still")),
        (b"GET /still HTTP/1.1\r\nCookie: sessionid=@SB@", bytes, world.bob.says("/still")),
    ]
    world.alice.program = None
    found: list[Finding] = []
    for head, read, wanted in checks:
        wire = world.clients.connect()
        try:
            world.clients.sent(wire)
            wire.send(world.filled(head + b"\r\nHost: site.test\r\n\r\n"))
            answer = wire.answer()
            found += world.clients.arrived(wire, (world.alice, world.bob))[1]
            if answer.status != 200 or read(answer.body) != wanted:
                found.append(Finding("alive", "wrong", f"{head!r}: {bytes(wire.seen[:300])!r}"))
        except (Gone, Malformed, OSError) as error:
            found.append(Finding("alive", "no answer", f"{head!r}: {error!r}"))
        finally:
            wire.close()
    return found


def _user(body: bytes) -> Any:
    return (reading_of(body) or {}).get("user")
