"""What routing reads of prompts."""

from array import array

import pytest

from gateway.dialects.prompts import Scope, Uncached, Unread
from gateway.dialects.table import MethodTable
from gateway.errors import Failure, Reason
from gateway.http2.headers import FieldList
from gateway.rpc.call import Call
from gateway.types import Facts, Prefix
from inference.v1 import inference_pb2 as pb

Message = pb.GenerateRequest | pb.ChatRequest | pb.EmbedRequest | pb.TokenizeRequest
ROLES = (pb.ROLE_SYSTEM, pb.ROLE_USER, pb.ROLE_ASSISTANT)


class Reader(Unread):
    """Keeps what it is given to read."""

    scope: Scope = ("", "", "")
    ids = b""
    text = b""

    def of_ids(self, scope: Scope, ids: bytes | memoryview) -> Prefix:
        self.scope, self.ids = scope, bytes(ids)
        return super().of_ids(scope, ids)

    def of_text(self, scope: Scope, text: bytes | memoryview) -> Prefix:
        self.scope, self.text = scope, bytes(text)
        return super().of_text(scope, text)


def read(request: Message, *fields: tuple[bytes, bytes]) -> tuple[Facts, Reader]:
    return read_wire(type(request).__name__.removesuffix("Request"), request.SerializeToString(), *fields)


def read_wire(name: str, message: bytes, *fields: tuple[bytes, bytes]) -> tuple[Facts, Reader]:
    reader = Reader()
    path = f"/inference.v1.Inference/{name}"
    facts = MethodTable((), reader).find(path).facts(Call(path, None, b"", FieldList(fields)), message)
    return facts, reader


@pytest.mark.parametrize("count", [1, 31, 32, 100_000])
def test_ids_are_read_as_they_are_on_the_wire(count: int) -> None:
    ids = list(range(count))
    request = pb.GenerateRequest(model="m", lora_name="l", cache_salt="s", token_ids=pb.TokenIds(ids=ids))
    facts, reader = read(request)
    assert array("I", reader.ids).tolist() == ids
    assert reader.scope == ("m", "l", "s")
    assert facts.prompt_tokens == count
    assert facts.prefix == Uncached(count)


@pytest.mark.parametrize("text", ["", "hello", "x" * 100_000, "\N{GREEK SMALL LETTER ALPHA}" * 10_000])
def test_text_is_read_as_it_is_on_the_wire(text: str) -> None:
    facts, reader = read(pb.GenerateRequest(model="m", text=text))
    assert reader.text.decode() == text
    assert facts.prefix == Uncached(-(-len(text.encode()) // 4))


def test_ids_that_stand_in_two_places_are_joined() -> None:
    ids = list(range(5_000))
    request = pb.GenerateRequest(model="m", token_ids=pb.TokenIds(ids=ids))
    _, reader = read_wire("Generate", request.SerializeToString() * 2)
    assert array("I", reader.ids).tolist() == ids * 2


@pytest.mark.parametrize("ids", [[], [1, 2]])
def test_fields_that_nobody_knows_are_no_ids(ids: list[int]) -> None:
    unknown = bytes((15 << 3,)) + b"\x07"  # field 15, a varint
    token_ids = pb.TokenIds.FromString(pb.TokenIds(ids=ids).SerializeToString() + unknown)
    facts, reader = read(pb.GenerateRequest(model="m", token_ids=token_ids))
    assert array("I", reader.ids).tolist() == ids
    assert facts.prompt_tokens == len(ids)


def test_text_is_read_as_it_is() -> None:
    facts, reader = read(pb.GenerateRequest(text="naïve"))
    assert reader.text == "naïve".encode()
    assert facts.prompt_tokens == 2


def chat(*texts: str, tools: int = 0) -> pb.ChatRequest:
    messages = [pb.ChatMessage(role=ROLES[at % 3], parts=[pb.ContentPart(text=text)]) for at, text in enumerate(texts)]
    return pb.ChatRequest(messages=messages, tools=[pb.Tool(name=f"tool-{number}") for number in range(tools)])


def test_a_conversation_that_goes_on_begins_with_what_it_was() -> None:
    _, before = read(chat("You are kind.", "Hello", tools=2))
    _, after = read(chat("You are kind.", "Hello", "Hello yourself", tools=2))
    assert after.text.startswith(before.text)
    assert len(after.text) > len(before.text)
    _, other = read(chat("You are kind.", "Hello", tools=1))
    assert not after.text.startswith(other.text)


def test_an_image_is_told_from_another_by_few_bytes() -> None:
    def picture(data: bytes) -> bytes:
        request = chat("Look:")
        request.messages[0].parts.add().image.data = data
        return read(request)[1].text

    one, same, other = (picture(bytes([number]) * 1_000_000) for number in (1, 1, 2))
    assert one == same != other
    assert len(one) < 100


def test_inputs_of_embeddings_are_counted_and_not_looked_for_in_caches() -> None:
    inputs = [pb.EmbedInput(text="abcde"), pb.EmbedInput(token_ids=pb.TokenIds(ids=range(10)))]
    facts, _ = read(pb.EmbedRequest(inputs=inputs))
    assert (facts.prompt_tokens, facts.prefix) == (12, None)
    facts, _ = read(pb.TokenizeRequest(text="abcde"))
    assert (facts.prompt_tokens, facts.prefix) == (0, None)


def test_an_agent_may_say_until_when_it_needs_the_first_token() -> None:
    facts, _ = read(chat("Hello"), (b"x-slo-ttft-ms", b"250"))
    assert facts.first_token_target_s == 0.25
    facts, _ = read(chat("Hello"))
    assert facts.first_token_target_s is None


@pytest.mark.parametrize("value", [b"soon", b"0", b"-3", b"nan", b"inf"])
def test_a_target_that_is_no_time_is_refused(value: bytes) -> None:
    with pytest.raises(Failure) as raised:
        read(chat("Hello"), (b"x-slo-ttft-ms", value))
    assert raised.value.reason is Reason.INVALID_REQUEST
