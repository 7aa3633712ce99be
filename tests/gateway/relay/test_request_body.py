from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Failure, Reason
from gateway.relay.memory import CHUNK_BYTES, RequestMemory
from gateway.relay.request_body import RequestBody
from gateway.rpc.framing import prefixed


def body(limit_bytes: int = 1_000, *, is_message: bool = True, memory: RequestMemory | None = None) -> RequestBody:
    return RequestBody(memory or RequestMemory(1_000_000), limit_bytes, is_message=is_message)


@given(st.binary(max_size=300), st.lists(st.integers(0, 320)))
def test_a_message_is_found_however_it_is_cut(message: bytes, cuts: list[int]) -> None:
    wire = prefixed(message)
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    found = body()
    for start, end in pairwise(edges):
        assert found.message() is None
        found.add(wire[start:end])
    assert found.message() == message
    assert b"".join(found.chunks) == wire


def test_bytes_after_the_message_stay_with_the_request() -> None:
    found = body()
    found.add(prefixed(b"one") + b"more")
    assert found.message() == b"one"
    assert found.chunks == [prefixed(b"one") + b"more"]


@pytest.mark.parametrize("wire", [b"\x02....", b"\x00\x00\x00\x00\x09short", b"\x00\x00"])
def test_what_ends_without_a_message_is_invalid(wire: bytes) -> None:
    found = body()
    found.add(wire)
    found.is_whole = True
    with pytest.raises(Failure) as failed:
        found.message()
    assert failed.value.reason is Reason.INVALID_REQUEST


def test_a_message_that_announces_too_much_is_refused_at_its_prefix() -> None:
    found = body(limit_bytes=100)
    found.add(b"\x00\x00\x00\x00\x65")
    with pytest.raises(Failure) as failed:
        found.message()
    assert failed.value.reason is Reason.MESSAGE_TOO_LARGE


def test_a_message_of_the_limit_passes() -> None:
    found = body(limit_bytes=100)
    found.add(prefixed(bytes(100)))
    assert found.message() == bytes(100)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 500)), max_size=30))
def test_the_agent_is_credited_each_byte_once_over_all_attempts(steps: list[tuple[bool, int]]) -> None:
    """Bytes that no replica takes yet are credited as they are read; what a replica takes is credited unless it was."""
    found = body(is_message=False, limit_bytes=2_000)
    read = sent = credited = 0
    for is_read, size in steps:
        if is_read:
            found.add(bytes(size))
            read += size
            credited += found.credit_read()
        elif sent + size <= read:
            sent += size
            credited += found.credit_sent(size)
        else:
            found.begin_attempt()
            sent = 0
        assert sent <= credited <= read
    credited += found.credit_sent(read - sent)
    assert credited == read


def test_memory_goes_back_when_no_other_attempt_needs_the_request() -> None:
    memory = RequestMemory(1_000_000)
    found = body(memory=memory)
    found.add(bytes(600))
    assert memory.held_bytes == found.held_bytes == 600 + CHUNK_BYTES
    found.forget()
    assert memory.held_bytes == 0
    found.add(bytes(100))
    assert memory.held_bytes == 0
    found.forget()
    assert memory.held_bytes == 0


def test_what_is_too_much_for_all_is_refused_and_given_back() -> None:
    memory = RequestMemory(1_000)
    first, second = body(memory=memory), body(memory=memory)
    first.add(bytes(900))
    with pytest.raises(Failure) as failed:
        second.add(bytes(200))
    assert failed.value.reason is Reason.OVERLOADED
    second.forget()
    assert memory.held_bytes == 900 + CHUNK_BYTES


def test_bytes_that_come_one_by_one_count_for_what_they_take() -> None:
    memory = RequestMemory(1_000)
    found = body(memory=memory)
    for _ in range(1_000 // (1 + CHUNK_BYTES)):
        found.add(b"x")
    with pytest.raises(Failure) as failed:
        found.add(b"x")
    assert failed.value.reason is Reason.OVERLOADED
    found.forget()
    assert memory.held_bytes == 0


def test_a_request_in_pieces_is_held_in_two_once_it_is_whole() -> None:
    memory = RequestMemory(1_000)
    found = body(memory=memory)
    message = prefixed(bytes(100))
    found.add(message[:50])
    assert found.message() is None
    found.add(message[50:])
    assert found.message() == bytes(100)
    assert memory.held_bytes == found.held_bytes == len(message) + 2 * CHUNK_BYTES


def test_what_was_held_in_many_pieces_is_freed_in_several_turns() -> None:
    turns: list[Callable[[], None]] = []
    memory = RequestMemory(1_000_000, wait=turns.append)
    found = body(memory=memory)
    for _ in range(1_000):
        found.add(b"x")
    found.forget()
    held = [memory.held_bytes]
    while turns:
        turns.pop()()
        held.append(memory.held_bytes)
    assert held[0] == 1_000 * (1 + CHUNK_BYTES)
    assert held[-1] == 0
    assert held == sorted(held, reverse=True)
    assert len(set(held)) > 10


def test_a_long_stream_is_let_go_once_a_replica_takes_it() -> None:
    found = body(limit_bytes=100, is_message=False)
    found.add(bytes(106))
    assert found.credit_read() == 0, "the agent waits until a replica takes it"
    assert found.is_kept
    found.let_go()
    assert not found.is_kept


def test_all_of_a_message_is_asked_for_once_its_length_is_known() -> None:
    found = body()
    message = prefixed(bytes(500))
    found.add(message[:4])
    assert (found.message(), found.credit_read()) == (None, 4)
    found.add(message[4:100])
    assert (found.message(), found.credit_read()) == (None, len(message) - 4)
    found.add(message[100:])
    assert (found.message(), found.credit_read()) == (bytes(500), 0)
    found.replace(bytes(600))
    found.add(b"of the next one")
    assert found.credit_read() == 15
    found.begin_attempt()
    assert found.credit_sent(sum(map(len, found.chunks))) == 0
