"""The way into a Vedette server, for the command line, for applications and for your programs.

>>> async with Client(HttpTransport()) as client:  # doctest: +SKIP
...     await client.put_file("images", "master", "/dev1_1511890000.jpg", data)

`vedette.client.application` holds what an application that joins the server is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vedette.client.calls import Client
from vedette.client.transport import Endpoint, Transport

if TYPE_CHECKING:
    from vedette.client.http import HttpTransport

__all__ = ["Client", "Endpoint", "HttpTransport", "Transport"]


def __getattr__(name: str) -> Any:
    # The HTTP library costs 170 ms to import: only those who speak HTTP pay for it.
    if name == "HttpTransport":
        from vedette.client.http import HttpTransport

        return HttpTransport
    raise AttributeError(name)
