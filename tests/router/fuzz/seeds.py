"""Where the fuzzer starts: every attack that was ever made on the router, as bytes."""

from __future__ import annotations

from tests.router.hostile_answers import HOSTILE
from tests.router.test_hostile_answers import PASSED, REFUSED, UNENDED

ANSWERS: list[bytes] = [*HOSTILE.values(), *REFUSED.values(), *PASSED.values(), *UNENDED.values()]


def _request(*lines: bytes, first: bytes = b"GET / HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join([first, b"Host: site.test", *lines, b"", body])


_FORGED = b"X-Userpods-User: bob"
_ALICE = b"Cookie: sessionid=@SA@"
_HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: site.test\r\nCookie: sessionid=@SB@\r\n\r\n"
_FRAMINGS = (
    b"Content-Length: 6\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 6",
    b"Content-Length: 6\r\nContent-Length: 7",
    b"Content-Length: +6",
    b"Content-Length: 6, 6",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Content_Length: 99\r\nTransfer-Encoding: chunked",
)
_AUTHORIZATIONS = (
    b"Bearer @TA@",
    b"bearer @TA@",
    b"Bearer\t@TA@",
    b"\xa0Bearer @TA@",
    b"\x85Bearer @TA@",
    b"Bearer\xa0@TA@",
    b"Bearer x, Bearer @TA@",
    b"Token @TA@",
    b"Basic @TA@",
    b"Bearer,@TA@",
    b"BearerX @TA@",
)
_TARGETS = (
    b"//evil.example/x",
    b"/\\evil.example",
    b"http://evil.example/x",
    b"http://user-bob/x",
    b"/_userpods/whoami",
    b"/x/../_userpods/whoami",
    b"/%61dmin/",
    b"/x/../admin/",
    b"/a%2Fb//c",
    b"/\t/evil.example",
    b"//",
    b"*",
)
_WITHOUT_VERSION = (b"GET /hid;HTTP/1.1", b"GET /admin/", b"GET http://site.test/", b"GET /%zz")
REQUESTS: list[bytes] = [
    _request(_ALICE),
    _request(_ALICE, first=b"GET /admin/ HTTP/1.1"),
    # A stale session beside another user's token, in every order.
    _request(b"Cookie: sessionid=gone", b"Authorization: Bearer @TB@"),
    _request(b"Cookie: userpods_token=@TB@; sessionid=gone"),
    _request(b"Cookie: sessionid=@SA@; userpods_token=@TB@"),
    _request(_ALICE, b"Authorization: Bearer @TB@"),
    # Without a version (HTTP/0.9), alone and as the second on a connection.
    *(line + b"\r\n\r\n" for line in _WITHOUT_VERSION),
    *(_request(_ALICE) + line + b"\r\n\r\n" for line in _WITHOUT_VERSION),
    # Two of each.
    _request(b"Cookie: sessionid=@SA@; sessionid=@SB@"),
    _request(b"Cookie: sessionid=@SB@", _ALICE),
    _request(b"Authorization: Bearer @TA@", b"Authorization: Bearer @TB@"),
    _request(b"Authorization: Bearer @TB@", b"authorization: Bearer @TA@"),
    # A key that could be read in two ways.
    _request(b"Cookie: Bearer @TA@"),
    _request(b"Cookie: \\nBearer @TA@"),
    *(_request(b"Authorization: " + value) for value in _AUTHORIZATIONS),
    *(_request(_ALICE, b"Authorization: " + value) for value in _AUTHORIZATIONS),
    *(_request(_ALICE, first=b"GET " + target + b" HTTP/1.1") for target in _TARGETS),
    *(
        _request(_ALICE, framing, first=b"POST / HTTP/1.1", body=b"0\r\n\r\n" + _HIDDEN)
        for framing in _FRAMINGS
    ),
    _request(
        _ALICE, b"X-Userpods-User: bob", b"X-Target-Peer: 127.0.0.1:1", b"X_Userpods_User: bob"
    ),
    _request(
        *(b"X-Filler-%d: x" % number for number in range(150)), b"X-Userpods-User: bob", _ALICE
    ),
    _request(_ALICE, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    _request(b"Cookie: big=" + b"x" * 12000 + b"; sessionid=@SA@"),
    _request(b"Cookie: " + b"; ".join(b"c%d=%b" % (n, b"y" * 3900) for n in range(3)), _ALICE),
    b"GET / HTTP/1.0\r\n" + _ALICE + b"\r\n\r\n",
    b"GET /\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00",
]
