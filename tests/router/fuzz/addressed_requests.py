"""What clients send where pods have addresses: hosts and paths of pods, and what is nearly one."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.router.fuzz.answers import set_cookie
from tests.router.fuzz.requests import authorization
from tests.router.fuzz.spelling import BLANKS, head, mostly, mutated, one_of_many

HOSTS, PATHS = "https://{pod}.pods.test/", "/pods/{pod}/"

_BLANKS = mostly(b"", *BLANKS)
_SOMETIMES = st.sampled_from([False] * 5 + [True])
_RARELY = st.sampled_from([False] * 30 + [True])
_ODD_HOSTS = (
    *b"ALICE.pods.test Bob.Pods.Test alice.pods.test:443 bob.pods.test:443".split(),
    *b"alice.pods.test. bob.pods.test.:443 alice.pods.test:8443 alice.pods.test:".split(),
    *b"bob.pods.test:80 x.bob.pods.test alice.pods.test:0443 alice.pods.test:443:443".split(),
    *b"user-alice.pods.test xn--alice-.pods.test".split(),
    *b"carol.pods.test pods.test .pods.test site.test al%69ce.pods.test [::1] 127.0.0.1".split(),
    *b"alice.pods.test@bob.pods.test alice.pods.test,bob.pods.test alice.pods.test/".split(),
    *(
        b"",
        b"bob.pods.test, alice.pods.test",
        b"bob.pods.test alice.pods.test",
        b"\xc3\xa1lice.pods.test",
    ),
    *(
        b"alice.pods.test\xa0",
        b"bob.pods.test\t",
        b"alice.pods.test#bob.pods.test",
        b"bob.pods.test?x",
    ),
)
_HOSTS = {
    HOSTS: st.one_of(
        *[st.sampled_from([b"alice.pods.test", b"alice.pods.test", b"bob.pods.test"])] * 3,
        one_of_many(_ODD_HOSTS),
    ),
    PATHS: mostly(b"site.test", *b"SITE.test site.test:443 site.test. evil.test".split(), b""),
}
_BEFORE = mostly(
    b"",
    *b"http://bob.pods.test https://alice.pods.test:443 HTTPS://BOB.pods.test.".split(),
    *b"http://site.test //bob.pods.test http://alice.pods.test@bob.pods.test".split(),
)
_BASES = {
    HOSTS: (
        *b"/ / /x /x /lab/tree /.userpods/ /.userpods/sign-in /.userpods/status/".split(),
        *b"/.userpods/enter".split(),
        *b"/.userpods /.userpodsx /.well-known/x /x/.userpods/ /userpods/status/ /whoami".split(),
        *b"/.userpods/sign-out /.userpods/waiting/ /_userpods/whoami /.userpods/assets/x".split(),
    ),
    PATHS: (
        *b"/pods/alice/ /pods/alice/ /pods/alice/x /pods/alice/x/y /pods/bob/ /pods/bob/y".split(),
        *b"/pods/alice /pods/carol/ /pods/".split(),
        *b"/pods /pods/user-alice/ /pods/Alice/ /pods/alice/pods/bob/ /admin/ /userpods/x".split(),
        *b"/userpods/status/ /.userpods/sign-in /api/x /x".split(),
    ),
}
_PARTS = st.sampled_from(
    [
        *b"/ // /. /.. /./ /../ /%2e /%2e%2e/ %2f %5c \\ ; /; ;/ /..;/ %00 %3b %23".split(),
        *b"# ? %3f + .".split(),
        *b"/%252e%252e/ /%2euserpods/ /.userpods/ /.%75serpods/ /.userpods;x/ /.USERPODS/".split(),
        *b"/pods/bob/ /pods/alice/ pods%2fbob bob %62ob /..%2fbob/ /%70ods/ /x/../".split(),
        b"\xc0\xae",
    ]
)
_QUERIES = mostly(b"", b"?x=1", b"?next=//evil", b"?/.userpods/", b"?/../pods/bob/", b"?")
_FORGED = st.tuples(
    st.sampled_from(
        [
            *b"X-Userpods-Host X-Userpods-Path x-userpods-host X_Userpods_Host".split(),
            *b"X-Userpods-Host X-Userpods-Path".split(),
            *b"X-Forwarded-Host X-Forwarded-Prefix X-Original-URL X-Userpods-User".split(),
        ]
    ),
    st.sampled_from([b"bob.pods.test", b"alice.pods.test", b"/pods/bob/", b"/pods/alice/", b"bob"]),
)
_ORIGINS = {
    HOSTS: [
        *b"https://alice.pods.test https://bob.pods.test null https://ALICE.pods.test".split(),
        *b"https://alice.pods.test:443 http://alice.pods.test https://site.test".split(),
        *b"https://alice.pods.test.evil https://evil@alice.pods.test".split(),
        *(b"", b"https://alice.pods.test, https://bob.pods.test", b"https://alice.pods.test/"),
    ],
    PATHS: [
        *b"https://site.test null https://evil.test http://site.test https://site.test.".split()
    ],
}
_FETCHES = st.sampled_from(
    [
        (b"Sec-Fetch-Site", b"same-origin"),
        (b"Sec-Fetch-Site", b"none"),
        (b"Sec-Fetch-Site", b"same-site"),
        (b"Sec-Fetch-Site", b"cross-site"),
        (b"sec-fetch-site", b"Same-Origin"),
        (b"Sec-Fetch-Mode", b"navigate"),
        (b"Sec-Fetch-Mode", b"cors"),
        (b"Sec-Fetch-Dest", b"document"),
        (b"Sec-Fetch-Dest", b"iframe"),
        (b"Sec-Fetch-Site", b""),
        (b"Accept", b"text/html"),
        (b"Upgrade", b"websocket"),
        (b"Service-Worker", b"script"),
        (b"Connection", b"Origin, Sec-Fetch-Site, Cookie"),
        (b"Connection", b"keep-alive"),
    ]
)
_TOKENS = [b"@TA@", b"@TB@", b'"@TB@"', b"upt_gone", b"eyJh", b""]
#: Names of ours with what they hold, and names that are nearly ours, which hold it now and then.
_COOKIES = {
    HOSTS: [
        *[
            (b"__Host-userpods", value)
            for value in (b"@HA@",) * 8 + (b"@HB@", b"@HB@", b'"@HB@"', b"gone")
        ],
        *[(b"userpods_token", value) for value in _TOKENS],
        *[
            (b"__Host-userpods_nonce", b"n"),
            (b"__Host-userpods_owner", b"o"),
            (b"userpods", b"@HA@"),
        ],
    ],
    PATHS: [
        *[
            (b"sessionid", value)
            for value in (b"@SA@",) * 8 + (b"@SB@", b"@SB@", b'"@SB@"', b"gone")
        ],
        *[(b"userpods_token", value) for value in _TOKENS],
        *[(b"csrftoken", b"@CS@"), (b"messages", b"m"), (b"userpods_wanted", b"w")],
    ],
}
_NEAR = [
    (name, b"near")
    for name in b"theme __host-userpods __Host-userpods2 __Secure-userpods $userpods".split()
    + b"Userpods __Host-Userpods xuserpods userpods.token SESSIONID".split()
    + b"__Host-sessionid __HOST-USERPODS".split()
    + [b"", b"__Host-", b"\xc2\xa0userpods", b"user pods", b'"userpods"', b"userpods_token2"]
]
_OUR_SET_NAMES = st.sampled_from(
    b"__Host-userpods userpods __HOST-userpods_nonce USERPODS_TOKEN __Secure-userpods theme".split()
)


@st.composite
def _cookie(draw: st.DrawFn, way: str) -> bytes:
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        name, value = draw(st.sampled_from(_COOKIES[way] * 2 + _NEAR))
        if value == b"near" and draw(_SOMETIMES):
            value = draw(st.sampled_from([b"@HA@" if way == HOSTS else b"@SA@", b"@TA@"]))
        pairs.append(draw(_BLANKS) + name + draw(_BLANKS) + b"=" + draw(_BLANKS) + value)
    return draw(mostly(b"; ", b";", b", ", b";;", b" ; ", b";\t")).join(pairs)


@st.composite
def _path(draw: st.DrawFn, way: str) -> bytes:
    path = draw(st.sampled_from(_BASES[way]))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(path)))
        if draw(st.booleans()):
            path = path[:at] + draw(_PARTS) + path[at:]
        else:
            path = path[:at] + b"".join(b"%%%02x" % it for it in path[at : at + 1]) + path[at + 1 :]
    return path


@st.composite
def _request(draw: st.DrawFn, way: str) -> bytes:
    target = draw(_BEFORE) + draw(_path(way)) + draw(_QUERIES)
    method = draw(mostly(b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT"))
    fields = [(b"Host", draw(_HOSTS[way]))]
    if draw(_RARELY):
        fields.append((b"Host", draw(_HOSTS[way])))
    many = draw(st.sampled_from([0, 1, 1, 1, 1, 1, 1, 2]))
    fields += [(b"Cookie", draw(_cookie(way))) for _ in range(many)]
    if draw(_SOMETIMES):
        fields.append((b"Authorization", draw(authorization())))
    fields += draw(st.lists(_FORGED, max_size=2))
    for _ in range(draw(st.sampled_from([0] * 8 + [1, 1, 2]))):
        fields.append((b"Origin", draw(st.sampled_from(_ORIGINS[way]))))
    if draw(_SOMETIMES):
        fields += draw(st.lists(_FETCHES, max_size=4))
    first = method + b" " + target + b" " + draw(mostly(b"HTTP/1.1", b"HTTP/1.0"))
    return draw(head(first, draw(st.permutations(fields))))


@st.composite
def _plausible(draw: st.DrawFn, way: str) -> bytes:
    """One that a pod's user sends to the pod, and one thing that is odd about it."""
    name, letter = draw(st.sampled_from([(b"alice", b"A"), (b"alice", b"A"), (b"bob", b"B")]))
    if way == HOSTS:
        host, path, cookie = name + b".pods.test", b"/", b"__Host-userpods=@H%b@" % letter
    else:
        host, path, cookie = b"site.test", b"/pods/%b/" % name, b"sessionid=@S%b@" % letter
    path += draw(st.sampled_from([b"", b"x", b"lab/tree"]))
    more: list[tuple[bytes, bytes]] = []
    match draw(st.sampled_from(["path", "path", "cookie", "header", "origin", "host", "before"])):
        case "path":
            path += draw(_PARTS) + draw(st.sampled_from([b"", b"y", b"/y"]))
        case "cookie":
            pairs = [cookie, draw(_cookie(way))]
            cookie = draw(mostly(b"; ", b";", b";\t")).join(draw(st.permutations(pairs)))
        case "header":
            more = draw(st.lists(_FORGED, min_size=1, max_size=2))
        case "origin":
            origin = (b"Origin", draw(st.sampled_from(_ORIGINS[way])))
            more = [origin] if draw(st.booleans()) else draw(st.lists(_FETCHES, max_size=4))
        case "host":
            host = draw(_HOSTS[way])
        case "before":
            path = draw(_BEFORE) + path
    first = b"GET " + path + draw(_QUERIES) + b" HTTP/1.1"
    fields = [(b"Host", host), (b"Cookie", cookie), *more]
    return b"".join([first, *(b"\r\n%b: %b" % field for field in fields), b"\r\n\r\n"])


@st.composite
def _set_cookies(draw: st.DrawFn) -> bytes:
    lines = []
    for name, value in draw(st.lists(set_cookie(), max_size=2)):
        lines.append(name + b": " + value.replace(b"\0", b""))
    if draw(st.booleans()):
        end = draw(st.sampled_from([b"", b"; Path=/", b"; domain=.pods.test", b";\tDomain"]))
        lines.append(b"Set-Cookie: " + draw(_BLANKS) + draw(_OUR_SET_NAMES) + b"=pwned" + end)
    return b"".join(line.replace(b"\0", b"") + b"\r\n" for line in lines)


def sequences(way: str) -> st.SearchStrategy[tuple[tuple[bytes, ...], bytes]]:
    """Some requests for one connection, and the lines with which pods set cookies."""
    plausible = _plausible(way)
    request = st.one_of(plausible, plausible, _request(way), mutated(_request(way)))
    return st.tuples(st.lists(request, min_size=1, max_size=3).map(tuple), _set_cookies())
