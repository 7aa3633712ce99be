"""File, DNS and SRV: each says all that there is, again and again."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import pytest

from gateway.config import DnsSource, FileSource, ReplicaSettings, SrvSource
from gateway.control.discovery import dns_addresses, file, srv_records
from gateway.control.discovery.sources import SOURCES, SourceFailed, watch_of
from gateway.errors import SettingsError

SRV = "_grpc._tcp.replicas.test."


class NameServer(asyncio.DatagramProtocol):
    """Answers with the records that it has, by name and type."""

    def __init__(self, *records: str) -> None:
        parts: list[Any] = [record.split(maxsplit=4) for record in records]
        self.records = [dns.rrset.from_text(*part) for part in parts]

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (asked,) = query.question
        response = dns.message.make_response(query)
        response.answer = [each for each in self.records if (each.name, each.rdtype) == (asked.name, asked.rdtype)]
        self._transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def running_name_server(*records: str) -> AsyncGenerator[str, None]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: NameServer(*records), ("127.0.0.1", 0))
    try:
        host, port = transport.get_extra_info("sockname")
        yield f"{host}:{port}"
    finally:
        transport.close()


async def test_a_file_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "replicas.yaml"
    path.write_text("- address: 'a:1'\n  labels: {gpu: h100}\n- {address: 'b:1', weight: 3, zone: z1, id: b}\n")
    source = FileSource(path=str(path), interval_s=0.01, weight=2, zone="z0", labels={"tier": "gold", "gpu": "?"})
    async with aclosing(file.watch(source)) as answers:
        assert list(await anext(answers)) == [
            ReplicaSettings(address="a:1", weight=2, zone="z0", labels={"tier": "gold", "gpu": "h100"}),
            ReplicaSettings(address="b:1", id="b", weight=3, zone="z1", labels={"tier": "gold", "gpu": "?"}),
        ]
        path.with_suffix(".new").write_text('[{"address": "c:1"}]')
        path.with_suffix(".new").replace(path)
        assert [replica.address for replica in await anext(answers)] == ["c:1"]
        path.unlink()
        with pytest.raises(SourceFailed, match="No such file"):
            await anext(answers)


@pytest.mark.parametrize("text", ["- addres: a", "- {address: a}", "a: b", "[", "- 3", "\x01"])
async def test_a_file_with_a_mistake_fails_the_source(text: str, tmp_path: Path) -> None:
    path = tmp_path / "replicas.yaml"
    path.write_text(text)
    async with aclosing(file.watch(FileSource(path=str(path)))) as answers:
        with pytest.raises(SourceFailed, match=r"replicas\.yaml: "):
            await anext(answers)


async def test_each_address_of_a_name_is_a_replica() -> None:
    source = DnsSource(name="127.0.0.1", port=50051, interval_s=0.01, labels={"a": "b"}, models=("m",))
    async with aclosing(dns_addresses.watch(source)) as answers:
        for _ in range(2):
            (replica,) = await anext(answers)
            assert replica == ReplicaSettings(address="127.0.0.1:50051", labels={"a": "b"}, models=("m",))


async def test_a_name_that_does_not_exist_fails_the_source() -> None:
    async with aclosing(dns_addresses.watch(DnsSource(name="no..name", port=1))) as answers:
        with pytest.raises((SourceFailed, UnicodeError)):
            await anext(answers)


async def test_srv_records_of_the_first_priority_are_replicas_with_port_and_weight() -> None:
    records = (
        f"{SRV} 60 IN SRV 1 0 50051 one.test.",
        "one.test. 60 IN A 10.0.0.1",
        "one.test. 60 IN AAAA fd00::1",
    )
    async with running_name_server(*records) as nameserver:
        source = SrvSource(name=SRV, nameserver=nameserver, zone="z1", weight=2)
        async with aclosing(srv_records.watch(source)) as answers:
            assert list(await anext(answers)) == [
                ReplicaSettings(address="10.0.0.1:50051", zone="z1", weight=2),
                ReplicaSettings(address="[fd00::1]:50051", zone="z1", weight=2),
            ]


def test_other_priorities_are_for_when_the_first_is_gone() -> None:
    records: Any = dns.rrset.from_text(SRV, 60, "IN", "SRV", "2 5 1 a.test.", "1 7 2 b.test.", "1 0 3 c.test.")
    first = srv_records.first_of(list(records))
    assert sorted((record.port, record.weight) for record in first) == [(2, 7), (3, 0)]


async def test_a_name_without_srv_records_fails_the_source() -> None:
    async with running_name_server("one.test. 60 IN A 10.0.0.1") as nameserver:
        answers = srv_records.watch(SrvSource(name=SRV, nameserver=nameserver))
        with pytest.raises(SourceFailed, match=f"^{SRV}: "):
            await anext(answers)


def test_a_source_whose_library_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, SrvSource, "gateway.control.discovery.no_such_module")
    with pytest.raises(SettingsError, match=r"srv needs pip install 'inference-gateway\[srv\]'"):
        watch_of(SrvSource(name=SRV))
