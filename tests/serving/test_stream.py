"""Cut a stream after any message: what was sent and what the next replica adds are together what an undisturbed replica
sends, in text, ids, logprobs, sequence numbers, usage and finish reasons."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.v1 import inference_pb2 as pb
from serving.engine import Ended, Sampling, TokenDelta
from serving.stream import GenerateChoice, ResponseStream, Start
from serving.text import TextRules
from tests.serving.fakes import EOS, WORDS, Answer
from tests.serving.replicas import PROMPT_TOKENS, Case, chat, generate, seen_in

letters = st.sampled_from([*b"ab [ ]{x}", *"é€".encode(), *WORDS])
sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4)
stop_strings = st.lists(st.sampled_from(["stop", "op", "ab a", "é", "€", "b", "}x"]), max_size=3, unique=True)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    ids = draw(st.lists(letters, min_size=1, max_size=20))
    kind = draw(st.sampled_from(["length", "eos", "stop token"]))
    if kind == "length":
        return Answer(ids)
    return Answer([*ids[:19], EOS if kind == "eos" else ord("!")], Ended.STOP)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    choices = draw(st.lists(answers(), min_size=1, max_size=2))
    lengths = [len(answer.token_ids) for answer in choices if answer.ended is Ended.LENGTH]
    # A choice that ends for its length ends at the same length as all others.
    max_tokens = lengths[0] if lengths else 20
    choices = [
        Answer([*answer.token_ids, *([97] * max_tokens)][:max_tokens]) if answer.ended is Ended.LENGTH else answer
        for answer in choices
        if answer.ended is Ended.LENGTH or len(answer.token_ids) <= max_tokens
    ]
    shortest = min(len(answer.token_ids) for answer in choices)
    sampling = Sampling(max_tokens, draw(st.integers(0, shortest)), n=len(choices), stop_token_ids=(ord("!"),))
    rules = TextRules(tuple(draw(stop_strings)), draw(st.booleans()), draw(st.booleans()))
    return Case(sampling, rules, choices)


Messages = Sequence[pb.GenerateResponse] | Sequence[pb.ChatResponse]


def check_whole(whole: Messages, undisturbed: Messages) -> None:
    assert seen_in(whole) == seen_in(undisturbed)
    assert [message.sequence for message in whole] == list(range(len(whole)))
    assert (whole[0].usage.prompt_tokens, whole[0].usage.cached_tokens) == (PROMPT_TOKENS, 3)
    assert whole[-1].usage == undisturbed[-1].usage
    assert whole[-1].usage.completion_tokens == sum(len(seen.token_ids) for seen in seen_in(whole).values())


@given(cases(), sizes, sizes, st.data())
def test_a_generate_stream_goes_on_where_it_was_cut(
    case: Case, first_sizes: list[int], second_sizes: list[int], data: st.DataObject
) -> None:
    undisturbed = generate(case, sizes=first_sizes)
    before = undisturbed[: data.draw(st.integers(0, len(undisturbed)), label="cut")]
    check_whole([*before, *generate(case, before, sizes=second_sizes, cached=3 if not before else 0)], undisturbed)


@given(cases(), sizes, sizes, st.data())
def test_a_chat_stream_goes_on_where_it_was_cut(
    case: Case, first_sizes: list[int], second_sizes: list[int], data: st.DataObject
) -> None:
    undisturbed = chat(case, sizes=first_sizes)
    before = undisturbed[: data.draw(st.integers(0, len(undisturbed)), label="cut")]
    check_whole([*before, *chat(case, before, sizes=second_sizes, cached=3 if not before else 0)], undisturbed)


@given(cases(), sizes, sizes)
def test_a_stream_is_the_same_however_the_engine_cuts_it(case: Case, first: list[int], second: list[int]) -> None:
    assert seen_in(generate(case, sizes=first)) == seen_in(generate(case, sizes=second))
    assert seen_in(chat(case, sizes=first)) == seen_in(chat(case, sizes=second))


@given(cases(), sizes, st.data())
def test_sends_what_was_still_held_back_where_less_text_was_sent_than_the_ids_give(
    case: Case, first_sizes: list[int], data: st.DataObject
) -> None:
    undisturbed = generate(case, sizes=first_sizes)
    cut = data.draw(st.integers(1, len(undisturbed)), label="cut")
    before = undisturbed[:cut]
    last = pb.GenerateResponse()
    last.CopyFrom(before[-1])
    keeps = data.draw(st.integers(0, len(last.text)), label="characters kept")
    last.text = last.text[:keeps]
    last.ClearField("finish_reason")
    last.ClearField("matched_stop")
    # Of the end too the next replica has to say everything again, usage included.
    if cut == len(undisturbed) and cut > 1:
        last.ClearField("usage")
    before = [*before[:-1], last]
    whole = [*before, *generate(case, before)]
    assert seen_in(whole) == seen_in(undisturbed)
    assert [message.sequence for message in whole] == list(range(len(whole)))


def test_says_at_once_that_a_choice_has_ended_when_only_that_was_lost() -> None:
    case = Case(Sampling(max_tokens=9, stop_token_ids=(33,)), TextRules(), [Answer([97, 33], Ended.STOP)])
    lost = generate(case)[:-1] + [pb.GenerateResponse(sequence=1, token_ids=[33])]
    (message,) = generate(case, lost)
    assert (message.sequence, message.text, list(message.token_ids)) == (2, "", [])
    assert (message.finish_reason, message.stop_token_id) == (pb.FINISH_REASON_STOP, 33)
    assert message.usage == pb.Usage(prompt_tokens=PROMPT_TOKENS, cached_tokens=3, completion_tokens=2)


def test_says_at_once_that_no_token_is_left() -> None:
    case = Case(Sampling(max_tokens=2), TextRules(("ab!",)), [Answer.of("ab")])
    lost = [pb.GenerateResponse(token_ids=list(b"ab"))]
    (message,) = generate(case, lost)
    assert (message.sequence, message.text, message.finish_reason) == (1, "ab", pb.FINISH_REASON_LENGTH)


def test_nothing_is_left_to_say_when_everything_was_sent() -> None:
    case = Case(Sampling(max_tokens=2), TextRules(), [Answer.of("ab")])
    assert generate(case, generate(case)) == []


def test_usage_stands_in_the_first_message_and_in_the_last() -> None:
    case = Case(Sampling(max_tokens=3), TextRules(), [Answer.of("abc")])
    first, second, last = generate(case)
    assert first.usage == pb.Usage(prompt_tokens=PROMPT_TOKENS, cached_tokens=3)
    assert not second.HasField("usage")
    assert last.usage == pb.Usage(prompt_tokens=PROMPT_TOKENS, cached_tokens=3, completion_tokens=3)


def test_a_delta_beyond_the_end_of_a_choice_is_dropped() -> None:
    case = Case(Sampling(max_tokens=9, n=2), TextRules(("b",)), [Answer.of("abcd"), Answer.of("xyz")])
    seen = seen_in(generate(case))
    assert (seen[0].text, seen[0].token_ids, seen[0].matched_stop) == ("a", list(b"ab"), "b")
    assert seen[1].text == "xyz"


@pytest.mark.parametrize("is_exact", [True, False])
def test_the_first_message_of_a_continued_stream_says_whether_it_is_exact(is_exact: bool) -> None:
    case = Case(Sampling(max_tokens=9), TextRules(), [Answer.of("abc")])
    start = Start(PROMPT_TOKENS, next_sequence=1, sent={0: [97]}, is_exact=is_exact)
    stream = ResponseStream({0: GenerateChoice(0, case.transcript(), 1)}, start)
    assert stream.resume() == []
    marks = [message.continued_inexactly for id_ in b"bc" for message in stream.push(TokenDelta(0, [id_]))]
    assert marks == [not is_exact, False]


def test_every_piece_of_chat_is_a_message_and_the_first_carries_the_ids() -> None:
    case = Case(Sampling(max_tokens=9), TextRules(), [Answer([*b"[r]c{t1}", EOS], Ended.STOP)])
    messages = chat(case, sizes=[9])
    assert [message.WhichOneof("delta") for message in messages] == ["reasoning", "content", "tool_call"]
    assert [len(message.token_ids) for message in messages] == [9, 0, 0]
    assert [message.finish_reason for message in messages] == [0, 0, pb.FINISH_REASON_TOOL_CALLS]
    assert messages[2].tool_call == pb.ToolCallDelta(index=0, id="call-0", name="t", arguments_json="1")


def test_a_call_that_was_cut_short_does_not_end_with_tool_calls() -> None:
    case = Case(Sampling(max_tokens=3), TextRules(), [Answer.of("{t1")])
    assert chat(case)[-1].finish_reason == pb.FINISH_REASON_LENGTH
