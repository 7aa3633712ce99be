"""How tests steer an agent in another process, in whatever language: one line of JSON is a list of calls to make at the
same time, the line that comes back is the list of their results.

Messages stand there as protobuf's JSON; the agent knows their types from a file with a serialized FileDescriptorSet.
Metadata is a list of pairs, its `-bin` values in base64. An address that begins with https:// is called over TLS:
ca.pem, agent.pem and agent.key lie beside the file with the types. This module needs protobuf alone, since it also runs
in the environments of agents that are kept apart.
"""

import asyncio
import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

Json: TypeAlias = dict[str, Any]
Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]


class Method(NamedTuple):
    path: str
    request: type[Message]
    response: type[Message]
    is_client_stream: bool
    is_server_stream: bool


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    """package.Service/Method."""
    requests: Sequence[Message]
    """Several of a bidirectional method: each goes out when the one before it has been answered, and the end of the
    stream when the last one has."""
    metadata: Metadata = ()
    timeout_s: float | None = None
    compression: str = ""
    """gzip or deflate; empty: none."""
    cancel_after: int | None = None
    """Responses to read before the agent cancels; 0: as soon as it has begun, its requests still open."""
    address: str = ""
    """HOST:PORT, or https://HOST:PORT."""
    is_alone: bool = False
    """On a connection of its own, which is closed after it."""


@dataclass(slots=True)
class Result:
    code: int = 0
    """Of gRPC."""
    message: str = ""
    metadata: list[tuple[str, str | bytes]] = field(default_factory=list[tuple[str, str | bytes]])
    trailers: list[tuple[str, str | bytes]] = field(default_factory=list[tuple[str, str | bytes]])
    responses: list[Any] = field(default_factory=list[Any])

    def trailer(self, name: str) -> str | bytes | None:
        return dict(self.trailers).get(name)


HTTPS = "https://"


class Certificates(NamedTuple):
    """PEM files: the authority of all, and what this process shows."""

    ca: Path
    cert: Path
    key: Path


def certificates(name: str) -> Certificates:
    folder = Path(sys.argv[1]).parent
    return Certificates(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")


def load_types(descriptor_set: Path) -> None:
    """Make the messages known of all files that are not yet, be it by another name: health's has several."""
    pool = descriptor_pool.Default()
    for file in FileDescriptorSet.FromString(descriptor_set.read_bytes()).file:
        try:
            pool.FindFileContainingSymbol(f"{file.package}.{file.service[0].name}")
        except KeyError:
            pool.AddSerializedFile(file.SerializeToString())


def find_method(name: str) -> Method:
    service, _, method = name.partition("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    request, response = (message_factory.GetMessageClass(kind) for kind in (found.input_type, found.output_type))
    return Method(f"/{name}", request, response, bool(found.client_streaming), bool(found.server_streaming))


def goes_in_turn(call: Call) -> bool:
    method = find_method(call.method)
    return method.is_client_stream and method.is_server_stream and len(call.requests) > 1


def write_call(call: Call) -> Json:
    return {
        "address": call.address,
        "is_alone": call.is_alone,
        "method": call.method,
        "requests": [_message_to_json(request) for request in call.requests],
        "metadata": _metadata_to_json(call.metadata),
        "timeout_s": call.timeout_s,
        "compression": call.compression,
        "cancel_after": call.cancel_after,
    }


def read_call(values: Json) -> Call:
    request = find_method(values["method"]).request
    requests = [json_format.ParseDict(each, request()) for each in values["requests"]]
    known: dict[str, Any] = {"requests": requests, "metadata": _metadata_from_json(values["metadata"])}
    return Call(**{**values, **known})


def write_result(result: Result) -> Json:
    return {
        "code": result.code,
        "message": result.message,
        "metadata": _metadata_to_json(result.metadata),
        "trailers": _metadata_to_json(result.trailers),
        "responses": [_message_to_json(response) for response in result.responses],
    }


def read_result(values: Json, method: str) -> Result:
    response = find_method(method).response
    return Result(
        values["code"],
        values["message"],
        _metadata_from_json(values["metadata"]),
        _metadata_from_json(values["trailers"]),
        [json_format.ParseDict(each, response()) for each in values["responses"]],
    )


async def converse(answer: Callable[[Call], Awaitable[Result]]) -> None:
    """Be an agent: make the calls that come on stdin until it ends. The first argument names the descriptor set."""
    load_types(Path(sys.argv[1]))
    while line := await asyncio.to_thread(sys.stdin.readline):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_result(answer, read_call(values))) for values in json.loads(line)]
        sys.stdout.write(json.dumps([write_result(task.result()) for task in tasks]) + "\n")
        sys.stdout.flush()


async def _result(answer: Callable[[Call], Awaitable[Result]], call: Call) -> Result:
    return await answer(call)


def _message_to_json(message: Message) -> Json:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _metadata_to_json(metadata: Metadata) -> list[tuple[str, str]]:
    return [(name, value if isinstance(value, str) else b64encode(value).decode()) for name, value in metadata]


def _metadata_from_json(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str | bytes]]:
    return [(name, b64decode(value) if name.endswith("-bin") else value) for name, value in pairs]
