"""The client's methods that keep house."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from vedette.client import keep_endpoints as at
from vedette.client.lines import lines
from vedette.client.transport import Transport
from vedette.model import keeping

_line = msgspec.json.Decoder(keeping.CheckLine)


class KeepCalls:
    """Garbage, checks, retention, deleting for good."""

    transport: Transport

    async def garbage_collect(self, *, full: bool = False) -> keeping.Collected:
        """Let go of what nobody names; `full` looks at every object."""
        return await self.transport.call(at.GARBAGE_COLLECT, {}, {"full": full})

    async def fsck(self, *, deep: bool = False) -> AsyncGenerator[keeping.CheckLine, None]:
        """Every fault as it is found, and in the end what was looked at."""
        async with self.transport.stream(at.FSCK, {}, {"deep": deep}) as chunks:
            async for line in lines(chunks):
                yield _line.decode(line)
