"""What a stream's messages become."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.assembly import ChatAssembly, GenerateAssembly
from gateway.client.errors import DataLoss
from gateway.client.messages import Message, ToolCall
from gateway.client.results import FinishReason, TokenLogprob
from inference.v1 import inference_pb2 as pb

STOP = pb.FINISH_REASON_STOP


@given(
    pieces=st.lists(st.tuples(st.integers(0, 2), st.text(max_size=4), st.lists(st.integers(0, 2**32 - 1), max_size=3)))
)
def test_every_choice_is_the_sum_of_its_deltas(pieces: list[tuple[int, str, list[int]]]) -> None:
    assembly = GenerateAssembly(n=3)
    ends: list[tuple[int, str, list[int]]] = [(index, "", []) for index in range(3)]
    for sequence, (index, text, ids) in enumerate([*pieces, *ends]):
        is_end = sequence >= len(pieces)
        reason = STOP if is_end else pb.FINISH_REASON_UNSPECIFIED
        response = pb.GenerateResponse(sequence=sequence, index=index, text=text, token_ids=ids, finish_reason=reason)
        delta = assembly.add(response)
        assert (delta.text, delta.token_ids) == (text, tuple(ids))
    for index, choice in enumerate(assembly.result().choices):
        assert choice.text == "".join(text for at, text, _ in pieces if at == index)
        assert choice.token_ids == tuple(token for at, _, ids in pieces if at == index for token in ids)


def test_keeps_logprobs_stops_and_the_last_usage() -> None:
    assembly = GenerateAssembly(n=1)
    best = pb.TokenLogprob.Alternative(token_id=7, logprob=-0.5)
    assembly.add(
        pb.GenerateResponse(
            token_ids=[7],
            logprobs=[pb.TokenLogprob(logprob=-0.5, alternatives=[best])],
            usage=pb.Usage(prompt_tokens=9, cached_tokens=4),
        )
    )
    last = pb.GenerateResponse(sequence=1, finish_reason=STOP, stop_token_id=0, continued_inexactly=True)
    last.usage.CopyFrom(pb.Usage(prompt_tokens=9, cached_tokens=4, completion_tokens=1))
    assembly.add(last)
    completion = assembly.result()
    assert completion.choices[0].logprobs == (TokenLogprob(-0.5, ((7, -0.5),)),)
    assert completion.choices[0].matched_stop == 0
    assert (completion.usage.cached_tokens, completion.usage.completion_tokens) == (4, 1)
    assert completion.continued_inexactly


def test_a_reply_is_a_message_for_the_next_turn() -> None:
    assembly = ChatAssembly(n=1)
    call = pb.ToolCallDelta
    for sequence, delta in enumerate(
        [
            pb.ChatResponse(reasoning="Hm, "),
            pb.ChatResponse(reasoning="weather."),
            pb.ChatResponse(content="Let me "),
            pb.ChatResponse(content="look."),
            pb.ChatResponse(tool_call=call(index=0, id="c0", name="weather", arguments_json='{"city":')),
            pb.ChatResponse(tool_call=call(index=1, id="c1", name="time", arguments_json="{}")),
            pb.ChatResponse(tool_call=call(index=0, arguments_json='"Bonn"}')),
            pb.ChatResponse(finish_reason=pb.FINISH_REASON_TOOL_CALLS),
        ]
    ):
        delta.sequence = sequence
        assembly.add(delta)
    reply = assembly.result()
    assert reply.message == Message(
        "assistant",
        "Let me look.",
        reasoning="Hm, weather.",
        tool_calls=(ToolCall("c0", "weather", '{"city":"Bonn"}'), ToolCall("c1", "time", "{}")),
    )
    assert reply.tool_calls[0].arguments == {"city": "Bonn"}
    assert (reply.content, reply.reasoning) == ("Let me look.", "Hm, weather.")
    assert reply.finish_reason is FinishReason.TOOL_CALLS


def test_a_reason_younger_than_this_client_still_ends_the_choice() -> None:
    assembly = GenerateAssembly(n=1)
    response = pb.GenerateResponse.FromString(pb.GenerateResponse(text="a").SerializeToString() + b"\x30\x63")
    assert assembly.add(response).finish_reason is FinishReason.UNKNOWN
    assert assembly.result().finish_reason is FinishReason.UNKNOWN


def test_a_choice_that_never_came_is_not_an_empty_one() -> None:
    assembly = GenerateAssembly(n=2)
    assembly.add(pb.GenerateResponse(text="a", finish_reason=STOP))
    with pytest.raises(DataLoss, match="choice 1"):
        assembly.result()
