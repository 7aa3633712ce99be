"""Orders travel in prompts, and moments in messages."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.overhead.orders import Order, Stamp, find_order, message, sent_at_ns
from inference.v1 import inference_pb2 as pb

ORDERS = st.builds(Order, messages=st.integers(0, 9), interval_ns=st.integers(0, 10**10), is_spread=st.integers(0, 1))


@given(ORDERS, st.integers(0, 5_000), st.binary(max_size=20))
def test_an_order_is_found_in_the_request_that_carries_it(order: Order, prompt_bytes: int, before: bytes) -> None:
    request = order.request(prompt_bytes)
    assert len(pb.GenerateRequest.FromString(request[5:]).text) >= prompt_bytes
    assert find_order(bytearray(before + request), len(before), len(before) + len(request)) == order


def test_what_carries_no_order_has_none() -> None:
    assert find_order(bytearray(b"\0\0\0\0\0"), 0, 5) is None


@given(st.integers(32, 127), st.integers(0, 2**63))
def test_a_message_carries_the_moment_when_it_was_due(size: int, due_at_ns: int) -> None:
    stamped = Stamp(size).at(due_at_ns)
    assert len(stamped) == len(message(size)) == size + 5
    assert sent_at_ns(stamped, 0) == due_at_ns
    assert pb.GenerateResponse.FromString(stamped[5:]).token_ids == [1]
