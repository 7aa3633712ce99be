from collections.abc import Sequence

import pytest

from inference.v1 import inference_pb2 as pb
from serving.chat import ChatChoice
from serving.engine import ChatPiece, Content, Ended, Reasoning, Sampling, TokenDelta, ToolCallPiece
from serving.text import TextRules, Transcript
from tests.serving.fakes import EOS, FakeDecoder, FakeParser


class ScriptedParser:
    """Says its script at the first id, and the rest at the end."""

    def __init__(self, script: Sequence[ChatPiece], rest: Sequence[ChatPiece] = ()) -> None:
        self._script = script
        self._rest = rest
        self.fed: list[tuple[str, list[int]]] = []

    def feed(self, text: str, token_ids: Sequence[int]) -> Sequence[ChatPiece]:
        self.fed.append((text, list(token_ids)))
        return self._script if len(self.fed) == 1 else ()

    def finish(self) -> Sequence[ChatPiece]:
        return self._rest


def transcript() -> Transcript:
    return Transcript(FakeDecoder(), Sampling(max_tokens=9), TextRules(), frozenset({EOS}))


def delta_of(message: pb.ChatResponse) -> str | pb.ToolCallDelta | None:
    match message.WhichOneof("delta"):
        case None:
            return None
        case "tool_call":
            return message.tool_call
        case "content":
            return message.content
        case "reasoning":
            return message.reasoning


def test_neighbours_of_one_kind_are_one_message() -> None:
    call = ToolCallPiece(0, '{"a', "id", "f")
    script = [
        Reasoning("r"),
        Content("a"),
        Content("b"),
        call,
        ToolCallPiece(0, '":1}'),
        ToolCallPiece(1, "", "id2", "g"),
    ]
    messages = ChatChoice(0, transcript(), ScriptedParser(script)).advance(TokenDelta(0, [97]))
    assert [delta_of(message) for message in messages] == [
        "r",
        "ab",
        pb.ToolCallDelta(index=0, id="id", name="f", arguments_json='{"a":1}'),
        pb.ToolCallDelta(index=1, id="id2", name="g"),
    ]


def test_a_call_that_was_begun_elsewhere_keeps_its_id() -> None:
    script = [ToolCallPiece(0, '{"é":1}', "other", "f"), ToolCallPiece(1, "{}", "second", "g")]
    sent = pb.SentChatChoice(tool_calls=[pb.SentToolCall(id="first", arguments_bytes=4)])
    messages = ChatChoice(0, transcript(), ScriptedParser(script), sent).replay([97])
    assert [delta_of(message) for message in messages] == [
        pb.ToolCallDelta(index=0, arguments_json='":1}'),
        pb.ToolCallDelta(index=1, id="second", name="g", arguments_json="{}"),
    ]


def test_content_and_reasoning_are_counted_apart() -> None:
    sent = pb.SentChatChoice(content_bytes=1, reasoning_bytes=2)
    script = [Reasoning("rrr"), Content("cc")]
    messages = ChatChoice(0, transcript(), ScriptedParser(script), sent).replay([97])
    assert [delta_of(message) for message in messages] == ["r", "c"]


def test_what_the_parser_held_back_comes_with_the_end() -> None:
    choice = ChatChoice(0, transcript(), FakeParser())
    messages = choice.advance(TokenDelta(0, [*b"a  ", EOS], ended=Ended.STOP))
    assert [(delta_of(message), message.finish_reason) for message in messages] == [("a  ", pb.FINISH_REASON_STOP)]


def test_the_parser_gets_every_id_with_its_own_text() -> None:
    parser = ScriptedParser([])
    ChatChoice(0, transcript(), parser).advance(TokenDelta(0, [97, *"é".encode(), EOS], ended=Ended.STOP))
    first, second = "é".encode()
    assert parser.fed == [("a", [97]), ("", [first]), ("é", [second]), ("", [EOS])]


@pytest.mark.parametrize(("ended", "reason"), [(None, 0), (Ended.ABORT, pb.FINISH_REASON_ABORT)])
def test_ids_that_say_nothing_yet_are_sent(ended: Ended | None, reason: int) -> None:
    (message,) = ChatChoice(1, transcript(), ScriptedParser([])).advance(TokenDelta(1, [97], ended=ended))
    assert (message.index, delta_of(message), list(message.token_ids)) == (1, None, [97])
    assert message.finish_reason == reason
