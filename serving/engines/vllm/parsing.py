"""The text of one choice split by vLLM's parsers, token by token as vLLM's own server feeds them."""

from collections.abc import Iterator, Sequence

from vllm.entrypoints.generate.base.protocol import DeltaMessage, DeltaToolCall
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser import Parser

from serving.engine import ChatParser, ChatPiece, Content, Reasoning, ToolCallPiece


class PlainText(ChatParser):
    """Without parsers and tools all is content; vLLM's parser would join the whole text again at each token."""

    def feed(self, text: str, token_ids: Sequence[int]) -> Sequence[ChatPiece]:
        return [Content(text)] if text else []

    def finish(self) -> Sequence[ChatPiece]:
        return []


class ParsedText(ChatParser):
    def __init__(self, parser: Parser, request: ChatCompletionRequest, prompt_token_ids: list[int]) -> None:
        self._parser = parser
        self._request = request
        self._prompt_token_ids = prompt_token_ids

    def feed(self, text: str, token_ids: Sequence[int]) -> Sequence[ChatPiece]:
        return self._parse(text, token_ids, is_last=False)

    def finish(self) -> Sequence[ChatPiece]:
        return self._parse("", (), is_last=True)

    def _parse(self, text: str, token_ids: Sequence[int], *, is_last: bool) -> Sequence[ChatPiece]:
        message = self._parser.parse_delta(
            text, list(token_ids), self._request, self._prompt_token_ids, finished=is_last
        )
        return [] if message is None else list(_pieces(message))


def _pieces(message: DeltaMessage) -> Iterator[ChatPiece]:
    if message.reasoning:
        yield Reasoning(message.reasoning)
    if message.content:
        yield Content(message.content)
    for call in message.tool_calls:
        piece = _tool_call_piece(call)
        if piece.id or piece.name or piece.arguments_json:
            yield piece


def _tool_call_piece(call: DeltaToolCall) -> ToolCallPiece:
    function = call.function
    return ToolCallPiece(
        index=call.index,
        arguments_json=(function.arguments or "") if function else "",
        id=call.id or "",
        name=(function.name or "") if function else "",
    )
