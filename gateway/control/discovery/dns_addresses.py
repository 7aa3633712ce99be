"""The addresses of a name."""

import asyncio
import socket
from collections.abc import AsyncGenerator

from gateway.config import DnsSource, ReplicaSettings, join_address
from gateway.control.discovery.sources import Found, SourceFailed


async def watch(settings: DnsSource) -> AsyncGenerator[Found, None]:
    """Yield a replica for each address, after each answer. The resolver of the host caches as long as it may."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            async with asyncio.timeout(settings.timeout_s):
                answer = await loop.getaddrinfo(settings.name, settings.port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise SourceFailed(f"{settings.name}: no answer in time") from None
        except OSError as error:
            raise SourceFailed(f"{settings.name}: {error.strerror}") from None
        addresses = sorted({join_address(str(where[0]), settings.port) for *_, where in answer})
        yield [
            ReplicaSettings(
                address=address,
                weight=settings.weight,
                zone=settings.zone,
                labels=settings.labels,
                models=settings.models,
            )
            for address in addresses
        ]
        await asyncio.sleep(settings.interval_s)
