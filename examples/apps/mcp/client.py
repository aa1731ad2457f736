"""Do what an agent does with its user's notes, and print what came of it as JSON.

    USERPODS_TOKEN=upt_... python client.py https://alice.pods.example.org/mcp "Buy milk"

The token is one of the user's access tokens.
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

# An answer may be a stream that is silent for minutes.
PATIENCE = httpx2.Timeout(30, read=300)


async def main(url: str, note: str) -> None:
    """Add a note, and show all of them."""
    token = os.environ["USERPODS_TOKEN"]
    # A pod that was stopped because nobody used it is started, and waited for.
    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=60"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http,
        streamable_http_client(url, http_client=http) as streams,
        ClientSession(*streams) as session,
    ):
        started = await session.initialize()
        tools = await session.list_tools()
        owner = await session.call_tool("owner")
        await session.call_tool("add_note", {"text": note})
        notes = await session.call_tool("list_notes")
        told = {
            "server": started.server_info.name,
            "tools": [tool.name for tool in tools.tools],
            "owner": owner.structured_content["result"],
            "notes": notes.structured_content["result"],
        }
        print(json.dumps(told))


asyncio.run(main(*sys.argv[1:]))
