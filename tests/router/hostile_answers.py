"""What hostile pods send in place of an answer, by name: each hides something for someone else.

``pwned`` stands in whatever the pod would like others to see. The fuzzer starts from these.
"""

from __future__ import annotations

#: A whole answer that takes over the session of whoever believes that it is theirs.
SECOND = b"HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=pwned; Path=/\r\nContent-Length: 5\r\n\r\npwned"
_OK = b"HTTP/1.1 200 OK\r\n"
_SHORT = _OK + b"Content-Length: 2\r\n\r\nhi"

HOSTILE: dict[str, bytes] = {
    **{
        f"interim {status}": b"HTTP/1.1 %s E\r\n\r\n" % status.encode() + SECOND
        for status in ("100", "102", "103", "199", "099", "000", "001")
    },
    "interim with headers": b"HTTP/1.1 103 E\r\nLink: </pwned>\r\n\r\n" + SECOND,
    "interim twice": b"HTTP/1.1 103 E\r\n\r\n" * 2 + SECOND,
    "interim and no answer": b"HTTP/1.1 103 E\r\n\r\n",
    "unasked 101": b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + SECOND,
    "bare 101": b"HTTP/1.1 101 S\r\n\r\n" + SECOND,
    "HTTP/0.9": b"pwned\r\n",
    "HTTP/0.9 in front of an answer": b"pwned\r\n\r\n" + SECOND,
    "two status lines": _OK + SECOND,
    "status line as a header": _OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npwned",
    "more than the length": _SHORT + SECOND,
    "two lengths": _OK + b"Content-Length: 2\r\nContent-Length: 200\r\n\r\nhi" + SECOND,
    "two lengths, long first": _OK + b"Content-Length: 200\r\nContent-Length: 2\r\n\r\nhi" + SECOND,
    "length in two values": _OK + b"Content-Length: 2, 200\r\n\r\nhi" + SECOND,
    "signed length": _OK + b"Content-Length: +2\r\n\r\nhi" + SECOND,
    "negative length": _OK + b"Content-Length: -1\r\n\r\n" + SECOND,
    "huge length": _OK + b"Content-Length: 99999999999999999999\r\n\r\nhi" + SECOND,
    "length and chunks": (
        _OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND
    ),
    "chunks and length": (
        _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 200\r\n\r\n0\r\n\r\n" + SECOND
    ),
    "chunked twice": (
        _OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND
    ),
    "identity, chunked": (_OK + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + SECOND),
    "unknown coding": _OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "blank before the colon": _OK + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "after the last chunk": _OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "trailers": (
        _OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie: sessionid=pwned\r\n\r\n"
    ),
    "chunk size with an extension": (
        _OK + b"Transfer-Encoding: chunked\r\n\r\n2;pwned=1\r\nhi\r\n0\r\n\r\n" + SECOND
    ),
    "overflowing chunk size": (
        _OK + b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n" + SECOND
    ),
    "chunk that is too long": (
        _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi" + SECOND + b"\r\n0\r\n\r\n"
    ),
    "folded header": _OK + b"X: a\r\n Set-Cookie: sessionid=pwned\r\nContent-Length: 0\r\n\r\n",
    "folded cookie": _OK + b"Set-Cookie: a=1;\r\n\tDomain=site.test\r\nContent-Length: 0\r\n\r\n",
    "folded first": _OK + b" Set-Cookie: sessionid=pwned\r\nContent-Length: 0\r\n\r\n",
    "bare CR": _OK + b"X: a\rSet-Cookie: sessionid=pwned\r\nContent-Length: 0\r\n\r\n",
    "bare CR in the status line": (
        b"HTTP/1.1 200 OK\rSet-Cookie: sessionid=pwned\r\nContent-Length: 0\r\n\r\n"
    ),
    "bare LF": b"HTTP/1.1 200 OK\nSet-Cookie: sessionid=pwned\nContent-Length: 2\n\nhi" + SECOND,
    "NUL in a value": _OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a name": _OK + b"Set-Cookie\0: sessionid=pwned\r\nContent-Length: 0\r\n\r\n",
    "NUL in a cookie": _OK + b"Set-Cookie: sessionid\0=pwned\r\nContent-Length: 0\r\n\r\n",
    "no colon": _OK + b"Set-Cookie sessionid=pwned\r\nContent-Length: 0\r\n\r\n",
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\npwned" + SECOND,
    "204 with chunks": (
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND
    ),
    "304 with a body": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\npwned" + SECOND,
    "HTTP/1.0, kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhi" + SECOND,
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi" + SECOND,
    "HTTP/1.1 in lower case": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" + SECOND,
    "four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nhi" + SECOND,
    "status of 999": b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nhi" + SECOND,
    "no blank after the status": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi" + SECOND,
    "empty lines first": b"\r\n\r\n" + SECOND,
    "nothing but a blank line": b"HTTP/1.1 200 OK\r\n\r\n" + SECOND,
    "steering": _OK + b"X-Accel-Redirect: /_userpods/whoami\r\nContent-Length: 0\r\n\r\n",
}

_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
#: The answer to `KEY`, as a handshake has it (RFC 6455, 4.2.2).
_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    + _UPGRADE
    + b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n"
)
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
#: What hostile pods answer to those who ask for another protocol.
UPGRADES: dict[str, bytes] = {
    **{
        f"refused with {status}": (
            b"HTTP/1.1 %d No\r\n" % status + _UPGRADE + b"Content-Length: 2\r\n\r\nno" + SECOND
        )
        for status in (200, 403, 426)
    },
    "accepted": _SWITCH + b"\r\n" + SECOND,
    "accepted with a length": _SWITCH + b"Content-Length: 2\r\n\r\nno" + SECOND,
    "accepted in chunks": _SWITCH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "accepted with a cookie": _SWITCH + b"Set-Cookie: sessionid=pwned\r\n\r\n" + SECOND,
    "accepted twice": (_SWITCH + b"\r\n") * 2 + SECOND,
    "accepted, not closed": _SWITCH + b"Connection: keep-alive\r\n\r\n" + SECOND,
    "accepted for h2c": _SWITCH.replace(b"websocket", b"h2c") + b"\r\n" + SECOND,
    "accepted after an interim answer": b"HTTP/1.1 103 E\r\n\r\n" + _SWITCH + b"\r\n" + SECOND,
}
