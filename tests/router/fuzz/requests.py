"""What clients send: requests from tables of what is right, odd and wrong.

Credentials are placeholders (``@SA@``: alice's session, ``@TB@``: bob's token), so that an example
means the same in every run.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.router.fuzz.seeds import REQUESTS
from tests.router.fuzz.spelling import BLANKS, head, mostly, mutated, one_of_many

_BLANKS = mostly(b"", *BLANKS)
_COOKIE_NAMES = st.sampled_from(
    [b"sessionid"] * 6
    + [b"userpods_token"] * 3
    + [b"csrftoken", b"theme", b"SessionID", b"__Host-sessionid", b"$sessionid", b"", b"messages"]
)
_COOKIE_VALUES = {
    b"sessionid": [b"@SA@", b"@SB@", b'"@SA@"', b'"@SB@"', b"@SA@ ", b"@SB@,x", b"gone", b""],
    b"userpods_token": [b"@TA@", b"@TB@", b'"@TB@"', b"upt_gone", b""],
    b"csrftoken": [b"@CS@"],
}
_SCHEMES = mostly(b"Bearer", *b"bearer BEARER Token Basic Bearer,".split(), b"", b"Bearer Bearer")
_TOKENS = st.sampled_from(
    [b"@TA@"] * 4
    + [b"@TB@"] * 4
    + [b"upt_gone", b"eyJhbGciOi", b"YTpi", b"", b"@TA@, Bearer @TB@", b"@TA@,@TB@", b"@TB@ @TA@"]
)
_FORGED = st.tuples(
    st.sampled_from(
        [
            *b"X-Userpods-User X-Userpods-User-Id X-Target-Peer X-Target-Service".split(),
            *b"X-Remote-User Remote-User X-Auth-Request-User X-Forwarded-User".split(),
            *b"X_Userpods_User x-userpods_user".split(),
        ]
    ),
    st.sampled_from([b"bob", b"127.0.0.1:1", b"", b"b,b"]),
)
_METHODS = mostly(b"GET", *b"POST HEAD PUT OPTIONS get TRACE PURGE".split())
_VERSIONS = mostly(b"HTTP/1.1", *b"HTTP/1.0 HTTP/1.2 HTTP/01.1 HTTP/2.0 http/1.1".split())
_HOSTS = mostly(
    b"site.test",
    *b"SITE.test site.test:80 site.test. evil.example site.test@evil [::1] site_test".split(),
    *(b"", b"site.test, evil", b"site.test evil", b"site.test\xa0", b"127.0.0.1"),
)
_PATHS = st.sampled_from(b"/ /x /notes/1 /admin/ /admin/login/ /api/x /userpods/status/".split())
_SEGMENTS = st.lists(
    st.sampled_from(
        [
            *b"/ /x /notes /admin /api /accounts /static /userpods /.. /. // /%2e%2e".split(),
            *b"/%2F /%5c \\ /admin/ /%61dmin/ /api/ %00 /; /whoami /userpods/waiting/".split(),
            *b"/_userpods/whoami %0a \xe9 /API/ /admin%2f /api;x/ /%252e/ /* /api/..%2f".split(),
            *b"# %zz /a\xa0b".split(),
        ]
    ),
    min_size=1,
    max_size=4,
)
_QUERIES = mostly(b"", *b"?x=1 ? ?a=%0d%0a ?/admin/ #?x ?? ?\xe9".split(), b"?a b")
_BEFORE = mostly(
    b"", *b"http://site.test http://evil.example HTTP://site.test:80 https://user-bob".split()
)
_HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=@SB@\r\n\r\n"
#: Headers that frame a body, and the body.
_BODIES: tuple[tuple[tuple[tuple[bytes, bytes], ...], bytes], ...] = (
    *[((), b"")] * 10,
    (((b"Content-Length", b"5"),), b"hello"),
    (((b"Transfer-Encoding", b"chunked"),), b"5\r\nhello\r\n0\r\n\r\n"),
    (((b"Transfer-Encoding", b"Chunked"),), b"5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    (((b"Content-Length", b"0"),), _HIDDEN),
    (((b"Content-Length", b"5"), (b"Content-Length", b"5")), b"hello" + _HIDDEN),
    (((b"Content-Length", b"5"), (b"Content-Length", b"0")), b"hello" + _HIDDEN),
    (((b"Content-Length", b"%d" % len(_HIDDEN)),), _HIDDEN),
    (((b"Content-Length", b"+5"),), b"hello" + _HIDDEN),
    (((b"Content-Length", b"5, 5"),), b"hello" + _HIDDEN),
    (((b"Content-Length", b"0x5"),), b"hello" + _HIDDEN),
    (((b"Content_Length", b"%d" % len(_HIDDEN)),), _HIDDEN),
    (((b"Content-Length", b"4"), (b"Transfer-Encoding", b"chunked")), b"0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"4")), b"0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"xchunked"),), b"0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"identity, chunked"),), b"0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"chunked, identity"),), b"0\r\n\r\n" + _HIDDEN),
    (((b"Transfer_Encoding", b"chunked"),), b"0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding\x0b", b"chunked"),), b"0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"\x0bchunked"),), b"0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"chunked"),), b"5\r\nhelloX0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"chunked"),), b"-5\r\nhello\r\n0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"chunked"),), b"5 \r\nhello\r\n0\r\n\r\n" + _HIDDEN),
    (((b"Transfer-Encoding", b"chunked"),), b"0\n\n" + _HIDDEN),
    (((b"Expect", b"100-continue"), (b"Content-Length", b"5")), b"hello"),
)


_OTHER = (
    (b"Connection", b"close"),
    (b"Connection", b"X-Userpods-User, Cookie"),
    (b"Accept", b"text/html"),
    (b"Host", b"evil.example"),
    (b"X-Forwarded-Host", b"evil.example"),
    (b"X-Forwarded-For", b"1.2.3.4"),
    (b"Upgrade", b"h2c"),
    (b"X", b"a"),
    (b"Range", b"bytes=0-1"),
    (b"Accept-Encoding", b"gzip"),
)


@st.composite
def cookie(draw: st.DrawFn) -> bytes:
    """The value of one Cookie header."""
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(_COOKIE_NAMES)
        value = draw(st.sampled_from(_COOKIE_VALUES.get(name, [b"dark", b'"a;b"', b"a=b", b""])))
        pairs.append(draw(_BLANKS) + name + draw(_BLANKS) + b"=" + draw(_BLANKS) + value)
    return draw(mostly(b"; ", b";", b", ", b";;", b" ; ", b";\t", b"&")).join(pairs)


@st.composite
def authorization(draw: st.DrawFn) -> bytes:
    """The value of one Authorization header."""
    blank = draw(mostly(b" ", b"  ", b"\t", b"\xa0", b"\x85", b"\x0b", b"", b",", b"\x1f"))
    return draw(_BLANKS) + draw(_SCHEMES) + blank + draw(_TOKENS) + draw(_BLANKS)


@st.composite
def request(draw: st.DrawFn) -> bytes:
    """One request, or what looks like one, and what may hide behind it."""
    path = draw(st.one_of(_PATHS, _SEGMENTS.map(b"".join)))
    target = draw(_BEFORE) + path + draw(_QUERIES)
    blank = draw(mostly(b" ", b"  ", b"\t"))
    first = draw(_METHODS) + blank + target + b" " + draw(_VERSIONS)
    fields = [(b"Host", draw(_HOSTS))]
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2]))):
        name = draw(mostly(b"Cookie", b"cookie", b"COOKIE", b"Cookie "))
        fields.append((name, draw(cookie())))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        name = draw(mostly(b"Authorization", b"authorization", b"Authorization "))
        fields.append((name, draw(authorization())))
    fields += draw(st.lists(_FORGED, max_size=2))
    fields += draw(st.lists(st.sampled_from(_OTHER), max_size=2))
    framing, body = draw(st.sampled_from(_BODIES))
    return draw(head(first, draw(st.permutations([*fields, *framing])))) + body


requests = st.one_of(request(), request(), mutated(request()), mutated(one_of_many(REQUESTS)))
