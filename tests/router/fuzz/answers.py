"""What hostile pods answer: from tables of what is right, odd and wrong, whole or in parts."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.router.fuzz.pods import Program
from tests.router.fuzz.seeds import ANSWERS
from tests.router.fuzz.spelling import BLANKS, head, mostly, mutated, one_of_many
from tests.router.hostile_answers import SECOND

_BLANKS = mostly(b"", *BLANKS)
_NUMBERS = (
    *b"100 101 103 199 099 0 1000 999 204 205 206 302 304 401 404".split(),
    *b"416 418 421 500 502 503 504".split(),
)
_STATUSES = mostly(
    b"HTTP/1.1 200 OK",
    *(b"HTTP/1.1 %b X" % number for number in _NUMBERS),
    *(b"HTTP/1.0 200 OK", b"HTTP/2 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1.10 200 OK", b"x", b""),
    *(b"HTTP/1.1 200", b"HTTP/1.1  200 OK", b"HTTP/1.1 200 a\tb", b"HTTP/1.1 200 \xff"),
)
_FIELDS = st.sampled_from(
    [
        (b"Content-Length", b"2"),
        (b"Content-Length", b"200"),
        (b"Content-Length", b"0"),
        (b"Content-Length", b"-1"),
        (b"Content-Length", b"2,2"),
        (b"Content-Length", b"99999999999999999999"),
        (b"Content_Length", b"200"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Transfer-Encoding", b"gzip, chunked"),
        (b"Transfer_Encoding", b"chunked"),
        (b"TRANSFER-ENCODING", b"Chunked"),
        (b"Connection", b"close"),
        (b"Connection", b"keep-alive"),
        (b"Connection", b"upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Keep-Alive", b"timeout=100"),
        (b"Trailer", b"Set-Cookie"),
        (b"Content-Type", b"text/html"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Range", b"bytes 0-1/2"),
        (b"Content-Type", b"multipart/byteranges; boundary=x"),
        (b"Accept-Ranges", b"bytes"),
        (b"ETag", b'"x"'),
        (b"Last-Modified", b"Thu, 01 Jan 2026 00:00:00 GMT"),
        (b"Location", b"//evil.example"),
        (b"Location", b"/_userpods/whoami"),
        (b"X-Accel-Redirect", b"/_userpods/whoami"),
        (b"X-Accel-Redirect", b"@waiting"),
        (b"X-Accel-Buffering", b"yes"),
        (b"Clear-Site-Data", b'"cookies"'),
        (b"Refresh", b"0"),
        (b"Date", b"x"),
        (b"Server", b"pwned"),
        (b"WWW-Authenticate", b"Basic"),
        (b"X", b"a"),
    ]
)
_SET_NAMES = st.sampled_from(
    [*[b"sessionid"] * 4, *b"csrftoken messages userpods_token theme SessionID $s".split(), b""]
)
_SET_ENDS = mostly(
    *(b"", b"; Path=/", b"; Domain=site.test", b";domain", b"; \x0bDomain=x", b"; Secure"),
    b";\tDOMAIN =x",
)
_TAILS = st.sampled_from(
    [
        *[b"hi"] * 4,
        *(b"", b"hi" + SECOND, SECOND, b"2\r\nhi\r\n0\r\n\r\n", b"2\r\nhi\r\n0\r\n\r\n" + SECOND),
        *(b"0\r\n\r\n", b"0\r\nSet-Cookie: sessionid=pwned\r\n\r\n", b"2\r\nhi" + SECOND, b"g\r\n"),
        *(b"2;" + b"x" * 50 + b"\r\nhi\r\n0\r\n\r\n" + SECOND, b"ffffffffffffffff\r\nhi"),
    ]
)


@st.composite
def set_cookie(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A Set-Cookie header, mostly for a cookie of the site's."""
    name = draw(_BLANKS) + draw(_SET_NAMES) + draw(_BLANKS)
    return b"Set-Cookie", name + draw(mostly(b"=", b"", b" =", b"==")) + b"pwned" + draw(_SET_ENDS)


@st.composite
def answer(draw: st.DrawFn) -> bytes:
    """One answer, or what looks like one, and what comes after it."""
    fields = draw(st.lists(st.one_of(_FIELDS, _FIELDS, set_cookie()), max_size=4))
    return draw(head(draw(_STATUSES), fields)) + draw(_TAILS)


answers = st.one_of(answer(), answer(), mutated(answer()), mutated(one_of_many(ANSWERS)))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """An answer in one part or two, and perhaps another answer later."""
    data = draw(answers)
    parts = [data]
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(data)))
        parts = [data[:at], data[at:]]
    if draw(st.integers(0, 3)) == 0:
        parts.append(draw(st.sampled_from([SECOND, b"\r\n", b"0\r\n\r\n", b"pwned"])))
    return Program(tuple(parts), keeps=draw(st.booleans()))


#: How alice asks a hostile pod: the method, the version, and more headers.
asked = st.tuples(
    st.sampled_from(b"GET GET GET GET HEAD HEAD POST OPTIONS PUT".split()),
    mostly(b"HTTP/1.1", b"HTTP/1.0"),
    mostly(
        *(b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Range: bytes=0-1\r\n"),
        *(b"If-None-Match: x\r\n", b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n"),
        b"TE: trailers\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    ),
)
