"""How bytes go wrong: odd line ends, blanks where none belong, and plain mutation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What servers, applications and browsers strip, or do not.
BLANKS = (
    b" ",
    b"\t",
    b"\xa0",
    b"\x85",
    b"\x0b",
    b"\x0c",
    b"\x1c",
    b"\x1f",
    b"\xc2\xa0",
    b'"',
    b"\0",
)
_SPECIAL = st.sampled_from(
    (*BLANKS, b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\xff", *b"; , : = \\ 0 / % _ \x7f".split())
)


@st.composite
def mutated(draw: st.DrawFn, base: st.SearchStrategy[bytes]) -> bytes:
    """Some bytes of a base are replaced, removed, doubled or cut off."""
    data = draw(base)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), at + draw(st.integers(0, 4)))
        how = draw(st.sampled_from(["put", "put", "replace", "remove", "double", "cut"]))
        special = draw(_SPECIAL)
        match how:
            case "put":
                data = data[:at] + special + data[at:]
            case "replace":
                data = data[:at] + special + data[end:]
            case "remove":
                data = data[:at] + data[end:]
            case "double":
                data = data[:end] + data[at:]
            case "cut":
                data = data[:at]
    return data


def one_of_many(values: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of some long values, which Hypothesis would else print all of in its warnings."""
    return st.integers(0, len(values) - 1).map(values.__getitem__)


def mostly(usual: bytes, *odd: bytes) -> st.SearchStrategy[bytes]:
    """The usual bytes, and once in nine times one of the odd ones."""
    return st.sampled_from([usual] * (8 * len(odd)) + list(odd))


_END = mostly(b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n ", b"\0\r\n")
_COLON = mostly(b": ", b":", b" : ", b":\t", b":\xa0", b":\x0b", b": \t ", b"\t:")


@st.composite
def head(draw: st.DrawFn, first: bytes, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A first line and headers; half of them with an odd line end or colon here and there."""
    is_odd = draw(st.booleans())
    end, colon = (_END, _COLON) if is_odd else (st.just(b"\r\n"), st.just(b": "))
    lines = [first, draw(end)]
    for name, value in fields:
        lines += [name, draw(colon), value, draw(end)]
    return b"".join(lines) + draw(end)
