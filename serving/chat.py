"""One choice of Chat: its text split into content, reasoning and tool calls. Pure, as `serving.text`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from inference.v1 import inference_pb2 as pb
from serving.engine import ChatParser, ChatPiece, Content, Reasoning, TokenDelta, ToolCallPiece
from serving.stream import add_finish, add_ids
from serving.text import Finish, Step, Transcript, Unsent


class ChatChoice:
    """One message for each piece; the ids of a step go with the first one. The parser is fed id by id, never delta by
    delta, so that it says the same however the ids were cut."""

    def __init__(
        self, index: int, transcript: Transcript, parser: ChatParser, sent: pb.SentChatChoice | None = None
    ) -> None:
        self.transcript = transcript
        self._index = index
        self._parser = parser
        self._unsent = _UnsentPieces(sent or pb.SentChatChoice())
        self._has_tool_calls = False

    def replay(self, token_ids: Sequence[int]) -> Sequence[pb.ChatResponse]:
        return self._messages(self.transcript.replay(token_ids))

    def advance(self, delta: TokenDelta) -> Sequence[pb.ChatResponse]:
        step = self.transcript.advance(delta)
        messages = self._messages(step) or [pb.ChatResponse(index=self._index)]
        add_ids(messages[0], step.token_ids, delta.logprobs)
        return messages

    def _messages(self, step: Step) -> list[pb.ChatResponse]:
        new = _merged(self._unsent.take(piece) for piece in self._pieces(step))
        messages = [_message(self._index, piece) for piece in new]
        if step.finish is not None:
            messages = messages or [pb.ChatResponse(index=self._index)]
            add_finish(messages[-1], self._finish(step.finish))
        return messages

    def _pieces(self, step: Step) -> Iterator[ChatPiece]:
        for token_id, text in zip(step.token_ids, step.texts, strict=True):
            yield from self._seen(self._parser.feed(text, [token_id]))
        if step.rest:
            yield from self._seen(self._parser.feed(step.rest, ()))
        if step.finish is not None:
            yield from self._seen(self._parser.finish())

    def _seen(self, pieces: Sequence[ChatPiece]) -> Sequence[ChatPiece]:
        self._has_tool_calls = self._has_tool_calls or any(isinstance(piece, ToolCallPiece) for piece in pieces)
        return pieces

    def _finish(self, finish: Finish) -> Finish:
        ends_with_calls = self._has_tool_calls and finish.reason == pb.FINISH_REASON_STOP
        return Finish(pb.FINISH_REASON_TOOL_CALLS) if ends_with_calls else finish


class _UnsentPieces:
    """Drops what the first replica sent: so many bytes of content, of reasoning and of each call's arguments. A call
    keeps the id that it was first given, because nobody sends it again."""

    def __init__(self, sent: pb.SentChatChoice) -> None:
        self._content = Unsent(sent.content_bytes)
        self._reasoning = Unsent(sent.reasoning_bytes)
        self._arguments = [Unsent(call.arguments_bytes) for call in sent.tool_calls]

    def take(self, piece: ChatPiece) -> ChatPiece | None:
        """Return what of the piece is new, if anything. Raises as `Unsent.take`."""
        if isinstance(piece, ToolCallPiece):
            return self._take_call(piece)
        text = (self._content if isinstance(piece, Content) else self._reasoning).take(piece.text)
        return replace(piece, text=text) if text else None

    def _take_call(self, piece: ToolCallPiece) -> ToolCallPiece | None:
        if piece.index >= len(self._arguments):
            return piece
        new = self._arguments[piece.index].take(piece.arguments_json)
        return ToolCallPiece(piece.index, new) if new else None


def _merged(pieces: Iterable[ChatPiece | None]) -> list[ChatPiece]:
    """Join neighbours that go on with the same thing."""
    merged: list[ChatPiece] = []
    for piece in pieces:
        if piece is None:
            continue
        joined = _joined(merged[-1], piece) if merged else None
        if joined is None:
            merged.append(piece)
        else:
            merged[-1] = joined
    return merged


def _joined(first: ChatPiece, second: ChatPiece) -> ChatPiece | None:
    match first, second:
        case (Content(), Content()) | (Reasoning(), Reasoning()):
            return replace(first, text=first.text + second.text)
        case ToolCallPiece(), ToolCallPiece() if first.index == second.index:
            return replace(first, arguments_json=first.arguments_json + second.arguments_json)
        case _:
            return None


def _message(index: int, piece: ChatPiece) -> pb.ChatResponse:
    match piece:
        case Content():
            return pb.ChatResponse(index=index, content=piece.text)
        case Reasoning():
            return pb.ChatResponse(index=index, reasoning=piece.text)
        case ToolCallPiece():
            call = pb.ToolCallDelta(
                index=piece.index, id=piece.id, name=piece.name, arguments_json=piece.arguments_json
            )
            return pb.ChatResponse(index=index, tool_call=call)
