"""An agent that nobody uses, with a session left open: run by the Python of ``examples/apps/mcp``.

Says ``listening`` once it has a session, with its stream for what the server has to say, and what
became of what it asked for: it does that, a line of its standard input each, when it is told to.
"""

from __future__ import annotations

import asyncio
import os
import sys

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def main(url: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['USERPODS_TOKEN']}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=300)) as http,
        streamable_http_client(url, http_client=http) as streams,
        ClientSession(*streams) as session,
    ):
        await session.initialize()
        await session.list_tools()
        print("listening", flush=True)
        while note := await asyncio.to_thread(sys.stdin.readline):
            done = await session.call_tool("add_note", {"text": note})
            print(done.structured_content, flush=True)


asyncio.run(main(*sys.argv[1:]))
