"""SRV records (RFC 2782): where a service listens, with a weight for each place."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import dns.exception
import dns.rdtypes.IN.SRV
from dns.asyncresolver import Resolver
from dns.rdatatype import SRV

from gateway.config import ReplicaSettings, SrvSource, join_address, split_address
from gateway.control.discovery.sources import Found, SourceFailed

Record = dns.rdtypes.IN.SRV.SRV

_LEAST_INTERVAL_S = 0.5
"""Records may have no time to live at all."""
_WEIGHT_MAX = 1_000


async def watch(settings: SrvSource) -> AsyncGenerator[Found, None]:
    """Yield a replica for each record of the first priority, after each answer. Raises SourceFailed."""
    resolver = _resolver(settings)
    while True:
        try:
            answer = await resolver.resolve(settings.name, SRV, lifetime=settings.timeout_s)
            records = [record for record in answer if isinstance(record, Record)]
            found = [replica for record in first_of(records) for replica in await _replicas(resolver, record, settings)]
        except (dns.exception.DNSException, OSError) as error:
            raise SourceFailed(f"{settings.name}: {' '.join(str(error).split())}") from None
        yield sorted(found, key=lambda replica: replica.address)
        time_to_live_s = float(answer.rrset.ttl) if answer.rrset is not None else 0.0
        await asyncio.sleep(max(_LEAST_INTERVAL_S, min(settings.interval_s, time_to_live_s)))


def first_of(records: Sequence[Record]) -> list[Record]:
    """Return those of the lowest number, which come first; the others are for when these are gone."""
    first = min((record.priority for record in records), default=0)
    return [record for record in records if record.priority == first]


async def _replicas(resolver: Resolver, record: Record, settings: SrvSource) -> list[ReplicaSettings]:
    answers = await resolver.resolve_name(record.target, lifetime=settings.timeout_s)
    return [
        ReplicaSettings(
            address=join_address(address, record.port),
            weight=min(record.weight or settings.weight, _WEIGHT_MAX),
            zone=settings.zone,
            labels=settings.labels,
            models=settings.models,
        )
        for address in sorted(answers.addresses())
    ]


def _resolver(settings: SrvSource) -> Resolver:
    if not settings.nameserver:
        return Resolver()
    host, port = split_address(settings.nameserver)
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = [host], port
    return resolver
