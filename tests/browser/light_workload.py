"""A pod's process that costs next to nothing: it says as JSON whose it is to whoever connects.

``python -I -S light_workload.py``, for hundreds at once: ten milliseconds and 3 MB for each.
"""

from __future__ import annotations

import os
import socket

BODY = f'{{"name": "{os.environ["USERPODS_USER"]}"}}'.encode()
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"

if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(os.environ["PORT"]))) as server:
        while True:
            client, _ = server.accept()
            with client:
                # Whoever only looks whether it listens says nothing.
                if client.recv(65536):
                    client.sendall(HEAD.encode() + b"Connection: close\r\n\r\n" + BODY)
