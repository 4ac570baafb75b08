#!/usr/bin/env python3
"""Drives `actum mcp` with the official Python SDK, as an agent's host would.

    drive.py MODE SCRIPT COMMAND [ARGUMENT...]

MODE is `initialize` (the 2025-11-25 form; either generation of the SDK), `discover` (2026-07-28, after asking what the
server speaks) or `pinned` (2026-07-28 at once). SCRIPT is a file with one JSON array of steps:

    {"call": TOOL, "arguments": {...}, "progress": true}   a call, with progress wanted or not
    {"cancel": TOOL, "arguments": {...}}                   a call that is cancelled once it has told that it prints
    {"together": [STEP, ...]}                              calls at the same time
    {"list": true}                                         the tools

Prints one JSON line for the protocol version and one for each step, in order. The SDK itself checks every structured
content against the schema its tool declares, and the order of messages.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

import mcp
from mcp import StdioServerParameters

MODERN = hasattr(mcp, "Client")
"""Whether this is the second generation of the SDK."""


def plain(model):
    """A message as it is on the wire."""
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


class First:
    """The first generation: sessions over two streams."""

    def __init__(self, session, version):
        self.session = session
        self.version = version

    @staticmethod
    @asynccontextmanager
    async def open(server, mode):
        """Connects."""
        from mcp.client.stdio import stdio_client

        if mode != "initialize":
            raise SystemExit(f"this generation of the SDK speaks no `{mode}`")
        async with stdio_client(server) as (reading, writing):
            async with mcp.ClientSession(reading, writing) as session:
                started = await session.initialize()
                yield First(session, started.protocolVersion)

    async def list(self):
        """The tools."""
        return await self.session.list_tools()

    async def call(self, name, arguments, told=None):
        """A call."""
        return await self.session.call_tool(name, arguments, progress_callback=told)

    async def cancelled(self, name, arguments, told):
        """A call that is cancelled when `told` is heard. This generation has no way of its own to cancel."""
        from mcp import types

        heard = asyncio.Event()

        async def hear(progress, total, message):
            if message == told:
                heard.set()

        number = self.session._request_id
        task = asyncio.create_task(self.call(name, arguments, hear))
        await heard.wait()
        params = types.CancelledNotificationParams(requestId=number, reason="the user said so")
        notification = types.CancelledNotification(method="notifications/cancelled", params=params)
        await self.session.send_notification(types.ClientNotification(notification))
        task.cancel()


class Second(First):
    """The second generation: clients."""

    @staticmethod
    @asynccontextmanager
    async def open(server, mode):
        """Connects."""
        modes = {"initialize": "legacy", "discover": "auto", "pinned": "2026-07-28"}
        async with mcp.Client(server, mode=modes[mode]) as client:
            yield Second(client, client.protocol_version)

    async def cancelled(self, name, arguments, told):
        """A call that is cancelled when `told` is heard: the SDK says so to the server when its task is given up."""
        heard = asyncio.Event()

        async def hear(progress, total, message):
            if message == told:
                heard.set()

        task = asyncio.create_task(self.call(name, arguments, hear))
        await heard.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def step(client, what):
    """Carries out one step and gives what came of it."""
    if "together" in what:
        return await asyncio.gather(*(step(client, one) for one in what["together"]))
    if "list" in what:
        return plain(await client.list())
    if "cancel" in what:
        await client.cancelled(what["cancel"], what["arguments"], what["told"])
        return {"cancelled": what["cancel"]}
    told = []

    async def hear(progress, total, message):
        told.append({"progress": progress, "message": message})

    try:
        result = await client.call(what["call"], what["arguments"], hear if what.get("progress") else None)
    except Exception as error:  # What the SDK raises for an error of the protocol differs between generations.
        return {"raised": type(error).__name__, "text": str(error)}
    return {**plain(result), "told": told}


async def drive(mode, script, server):
    """All steps, in order."""
    generation = Second if MODERN else First
    async with generation.open(server, mode) as client:
        print(json.dumps({"version": client.version}), flush=True)
        for what in script:
            print(json.dumps(await step(client, what)), flush=True)


def main():
    """See the head of the file."""
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    with open(sys.argv[2], encoding="utf-8") as file:
        script = json.load(file)
    server = StdioServerParameters(command=sys.argv[3], args=sys.argv[4:])
    asyncio.run(drive(sys.argv[1], script, server))


if __name__ == "__main__":
    main()
