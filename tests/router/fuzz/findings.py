"""What a run of the fuzzer found and counted: reproducers in files, and a summary in words."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.router.fuzz.addressed import AddressedExample
from tests.router.fuzz.examples import ClientExample, PodExample
from tests.router.fuzz.pods import Program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.router.fuzz.oracles import Finding

Example = ClientExample | PodExample | AddressedExample

#: What every run says a number of, 0 too.
ORACLES = {
    "leak": "bytes of one pod, or of nobody, reached another user",
    "identity": "a pod's user is not the one whom Django sees in the same bytes",
    "cache": "the same bytes went elsewhere the second time",
    "secret": "a session, token or CSRF secret of the site reached a pod",
    "set-cookie": "a pod set a cookie of the site's, or one for all hosts",
    "forged": "a header that says who somebody is came from a client",
    "told": "whoami or the site heard another address than the one that was asked for",
    "origin": "what another origin started carried an identity",
    "path": "a path changed on its way, or a path of the site's reached a pod",
    "host": "a host changed on its way, or there were two",
    "site": "Django reads a request otherwise through the router",
    "smuggled": "more requests arrived than were sent",
    "broken": "a pod or the site was sent what is no request",
    "malformed": "the router's answer is no HTTP",
    "stuck": "the next user on a connection waits",
    "log": "nginx or its Lua went wrong",
    "alive": "the site or a pod did not answer as it should after a batch",
}


@dataclass
class Report:
    """Counts examples, keeps the smallest example of each kind of finding."""

    folder: Path
    #: How often what was compared came about at all.
    count: Counter[str]
    examples: Counter[str] = field(default_factory=Counter)
    times: Counter[tuple[str, str]] = field(default_factory=Counter)
    smallest: dict[tuple[str, str], tuple[int, Example | None, Finding, int]] = field(
        default_factory=dict
    )

    def add(self, finding: Finding, example: Example | None, seed: int) -> bool:
        """Keep a finding; whether it is the first of its kind."""
        key = finding[:2]
        self.times[key] += 1
        size = len(repr(example))
        known = self.smallest.get(key)
        if known is None or size < known[0]:
            self.smallest[key] = (size, example, finding, seed)
        return known is None

    def write(self) -> dict[tuple[str, str], Path]:
        """Write a reproducer for each kind of finding."""
        paths = {}
        for key, (_, example, finding, seed) in self.smallest.items():
            self.folder.mkdir(parents=True, exist_ok=True)
            name = "-".join(part.replace(" ", "-").replace("/", "-") for part in key)
            paths[key] = self.folder / f"{name}.json"
            words = {"finding": finding._asdict(), "seed": seed, "example": dump(example)}
            paths[key].write_text(json.dumps(words, indent=1) + "\n")
        return paths

    def summary(self, seconds: float, seed: int) -> str:
        """The run in words: how many examples, and per oracle what was found."""
        total = sum(self.examples.values())
        kinds = ", ".join(f"{count:,} of {what}" for what, count in sorted(self.examples.items()))
        lines = [f"{total:,} examples in {seconds:.0f} s ({kinds}), seed {seed}"]
        lines += [f"  {times:>8,}  {what}" for what, times in self.count.items()]
        for oracle, words in ORACLES.items():
            count = sum(times for key, times in self.times.items() if key[0] == oracle)
            lines.append(f"  {oracle:<11} {count or '-':>5}  {words}")
        for key, path in self.write().items():
            finding = self.smallest[key][2]
            lines.append(f"FOUND {key[0]}, {key[1]} ({self.times[key]} times): {finding.detail}")
            lines.append(f"  again: python -m tests.router.fuzz --replay {path}")
        if not self.times:
            lines.append("nothing found")
        return "\n".join(lines)


def dump(example: Example | None) -> dict[str, Any]:
    """An example as JSON: the bytes in base64, and as Python shows them, to read."""
    if isinstance(example, ClientExample):
        return {"client": _bytes(example.data)}
    if isinstance(example, PodExample):
        asked, program = [_bytes(part) for part in example.asked], example.program
        parts = [_bytes(part) for part in program.parts]
        return {"asked": asked, "parts": parts, "keeps": program.keeps, "pause": program.pause}
    if isinstance(example, AddressedExample):
        requests = [_bytes(request) for request in example.requests]
        return {"pods_url": example.pods_url, "requests": requests, "sets": _bytes(example.sets)}
    return {}


def load(path: Path) -> Example:
    """The example of a reproducer. ValueError for a finding that no single example led to."""
    words = json.loads(path.read_text())["example"]
    if "client" in words:
        return ClientExample(_plain(words["client"]))
    if "requests" in words:
        requests = tuple(_plain(part) for part in words["requests"])
        return AddressedExample(words["pods_url"], requests, _plain(words["sets"]))
    if "parts" not in words:
        raise ValueError(f"{path} holds no example; run again with its seed")
    method, version, more = (_plain(part) for part in words["asked"])
    parts = tuple(_plain(part) for part in words["parts"])
    return PodExample((method, version, more), Program(parts, words["keeps"], words["pause"]))


def _bytes(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode(), "reads": repr(data)}


def _plain(words: dict[str, str]) -> bytes:
    return base64.b64decode(words["base64"])
