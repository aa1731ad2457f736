"""An MCP server of the user's own: their agents keep notes here."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

NOTES = Path("notes.txt")
server = MCPServer("notes")


@server.tool()
def owner() -> str:
    """Say whose notes these are."""
    return os.environ["USERPODS_USER"]


@server.tool()
def add_note(text: str) -> int:
    """Keep a note; return how many there are."""
    with NOTES.open("a", encoding="utf-8") as notes:
        notes.write(" ".join(text.split()) + "\n")
    return len(list_notes())


@server.tool()
def list_notes() -> list[str]:
    """Return all notes, the oldest first."""
    return NOTES.read_text("utf-8").splitlines() if NOTES.exists() else []


if __name__ == "__main__":
    url = urlsplit(os.environ["USERPODS_URL"])
    server.run(
        "streamable-http",
        host=os.environ["LISTEN"],
        port=int(os.environ["PORT"]),
        streamable_http_path=os.environ["USERPODS_PATH"] + "mcp",
        # Pages that have another name lead here (DNS rebinding) are refused.
        transport_security=TransportSecuritySettings(
            allowed_hosts=[url.netloc], allowed_origins=[f"{url.scheme}://{url.netloc}"]
        ),
    )
