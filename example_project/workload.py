"""An example of what a user's pod may run: one file, the standard library alone.

Shows whose pod it is, where it runs, for how long, and what headers it received; as HTML at any
path, as JSON at ``/headers``. It listens on ``$PORT``, and knows its user and its path from
``$USERPODS_USER`` and ``$USERPODS_PATH``, which the built-in pod template sets; ``$SITE_URL`` is
where the site is, if that is another host. A request of somebody whom the router names neither as
this user nor as a guest is refused: an application should not rely on the network alone.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import signal
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

STARTED = time.monotonic()
OWNER = os.environ.get("USERPODS_USER", "")
PATH = os.environ.get("USERPODS_PATH", "/")
SITE_URL = os.environ.get("SITE_URL", "/")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{owner}'s pod</title>
<style>
  :root {{ color-scheme: light dark; --ink: #1b2330; --soft: #5b6677; --line: #dde3ea;
           --back: #f4f6f9; --card: #fff; --accent: hsl({hue} 62% 42%); }}
  @media (prefers-color-scheme: dark) {{
    :root {{ --ink: #e8ecf2; --soft: #9aa6b6; --line: #2d3846; --back: #11161d; --card: #19212b;
             --accent: hsl({hue} 55% 60%); }} }}
  * {{ box-sizing: border-box }}
  body {{ margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
          background: var(--back); border-top: 6px solid var(--accent) }}
  header {{ padding: 3rem 1.5rem 1rem }}
  header, main {{ max-width: 56rem; margin: 0 auto }}
  main {{ padding: 0 1.5rem 4rem }}
  h1 {{ margin: 0; font-size: 2.1rem; line-height: 1.2; overflow-wrap: anywhere }}
  h1 b {{ color: var(--accent) }}
  h2 {{ font-size: 1rem; margin: 2.25rem 0 .75rem }}
  p {{ color: var(--soft); margin: .5rem 0 }}
  dl {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem;
        margin: 1.5rem 0 }}
  dl div, .table {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px }}
  dl div {{ padding: .8rem 1rem }}
  dt {{ color: var(--soft); font-size: .82rem }}
  dd {{ margin: 0; font-weight: 600; overflow-wrap: anywhere }}
  .table {{ overflow-x: auto }}
  table {{ border-collapse: collapse; width: 100%; font-size: .88rem }}
  td {{ padding: .5rem 1rem; border-top: 1px solid var(--line); vertical-align: top;
        font-family: ui-monospace, monospace; overflow-wrap: anywhere }}
  tr:first-child td {{ border-top: 0 }}
  td:first-child {{ color: var(--soft); white-space: nowrap }}
  @media (max-width: 40rem) {{
    td {{ display: block }}
    td:first-child {{ padding-bottom: 0 }}
    td:last-child {{ padding-top: 0; border-top: 0 }} }}
  nav a {{ color: var(--accent); margin-right: 1.25rem }}
</style>
<header>
  <h1>This is <b>{owner}</b>'s own pod</h1>
  <p>{method} {path} was answered by a process that serves nobody else.</p>
  <nav><a href="{site}accounts/">Your account</a> <a href="{root}headers">The same as JSON</a></nav>
</header>
<main>
  <dl>
    <div><dt>User</dt><dd id="user">{user}</dd></div>
    <div><dt>Host</dt><dd>{host}</dd></div>
    <div><dt>Process</dt><dd>{pid}, port {port}</dd></div>
    <div><dt>Up for</dt><dd>{uptime}</dd></div>
  </dl>
  <h2>Request headers</h2>
  <div class="table"><table>{rows}</table></div>
</main>
</html>
"""


def uptime(seconds: float) -> str:
    """Return a duration as a person says it: ``3 min 7 s``."""
    whole = int(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"))
    said = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join([*said, f"{whole % 60} s"])


class Handler(BaseHTTPRequestHandler):
    """Answers every request with what this pod knows."""

    protocol_version = "HTTP/1.1"
    server_version = "example-workload"
    sys_version = ""
    timeout = 60

    def answer(self) -> None:
        """Answer any method, with the body read so that the connection can be kept."""
        if not self._skip_body():
            return
        user = unquote(self.headers.get("X-Userpods-User", ""))
        path = "/" + urlsplit(self.path).path.removeprefix(PATH).lstrip("/")
        if path == "/healthz":
            self._send(HTTPStatus.OK, "text/plain", "ok\n")
        elif user and OWNER and user != OWNER and self.headers.get("X-Userpods-Guest") != "1":
            self._send(
                HTTPStatus.MISDIRECTED_REQUEST,
                "application/json",
                json.dumps({"error": "this is another user's pod"}) + "\n",
            )
        elif path == "/headers":
            self._send(HTTPStatus.OK, "application/json", json.dumps(self._facts(user)) + "\n")
        else:
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self._page(user))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - their names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log to standard output, without the control characters a client may send."""
        line = (format % args).encode("unicode_escape").decode()
        print(f"{self.log_date_time_string()} {line}", flush=True)  # noqa: T201 - the log

    def _skip_body(self) -> bool:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.close_connection = True  # not worth reading in an example
            return True
        try:
            left = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return False
        while left > 0 and (part := self.rfile.read(min(left, 65536))):
            left -= len(part)
        return True

    def _facts(self, user: str) -> dict[str, object]:
        return {
            "owner": OWNER,
            "user": user,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - STARTED, 3),
            "method": self.command,
            "path": self.path,
            "headers": list(self.headers.items()),
        }

    def _page(self, user: str) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
            for name, value in self.headers.items()
        )
        return PAGE.format(
            owner=html.escape(OWNER or user or "nobody"),
            user=html.escape(user or "not told by a router"),
            host=html.escape(socket.gethostname()),
            hue=sum(OWNER.encode()) * 47 % 360,
            site=html.escape(SITE_URL),
            root=html.escape(PATH),
            method=html.escape(self.command),
            path=html.escape(self.path),
            pid=os.getpid(),
            port=self.connection.getsockname()[1],
            uptime=uptime(time.monotonic() - STARTED),
            rows=rows,
        )

    def _send(self, status: HTTPStatus, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """As many connections at once as the router keeps."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 - a pod is asked from outside of it
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
    options = parser.parse_args()
    server = Server((options.host, options.port), Handler)
    # shutdown() waits for serve_forever(), which the handler's thread is in the middle of.
    signal.signal(
        signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start()
    )
    print(f"serving {OWNER or 'anyone'} on {options.host}:{options.port}", flush=True)  # noqa: T201 - the log
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
