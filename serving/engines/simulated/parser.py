"""Splits what the simulated model says into content, thoughts and calls of tools. Pure: joined together, the pieces are
the same however the text was cut."""

import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum

from serving.engine import ChatPiece, Content, Reasoning, ToolCallPiece


class _Part(Enum):
    CONTENT = "content"
    THOUGHTS = "thoughts"
    CALL = "call"
    """Its beginning, which has the name."""
    ARGUMENTS = "arguments"


# Which tag ends each part, and what follows it.
_TAGS: Mapping[_Part, Mapping[str, _Part]] = {
    _Part.CONTENT: {"<think>": _Part.THOUGHTS, "<tool_call>": _Part.CALL},
    _Part.THOUGHTS: {"</think>": _Part.CONTENT},
    _Part.CALL: {"</tool_call>": _Part.CONTENT},
    _Part.ARGUMENTS: {"}</tool_call>": _Part.CONTENT},
}
_JSON_STRING = r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"'
# Complete only with the first character of the arguments: until then more white space may come.
_CALL = re.compile(rf'\s*{{\s*"name"\s*:\s*({_JSON_STRING})\s*,\s*"arguments"\s*:\s*(?=\S)')


class SimulatedParser:
    def __init__(self, call_id: str) -> None:
        """Every call's id begins with `call_id`; it is empty where there is nothing to call."""
        self._call_id = call_id
        self._calls = 0
        self._part = _Part.CONTENT
        self._text = ""

    def feed(self, text: str, token_ids: Sequence[int]) -> Sequence[ChatPiece]:
        self._text += text
        pieces: list[ChatPiece] = []
        while (piece := self._next()) is not None:
            pieces.append(piece)
        return pieces

    def finish(self) -> Sequence[ChatPiece]:
        text, self._text = self._text, ""
        if self._part is _Part.CALL:
            return [Content(f"<tool_call>{text}")]
        return [self._piece(text)] if text else []

    def _next(self) -> ChatPiece | None:
        if self._part is _Part.CALL and (head := _CALL.match(self._text)):
            return self._begin_call(head)
        tags = [tag for tag in _TAGS[self._part] if self._call_id or tag != "<tool_call>"]
        tag = min((tag for tag in tags if tag in self._text), key=self._text.index, default=None)
        if tag is None:
            return self._release(tags)
        text, self._text = self._text.split(tag, 1)
        if self._part is _Part.CALL:
            # Not what a call looks like: the caller sees it as it is.
            self._part = _Part.CONTENT
            return Content(f"<tool_call>{text}{tag}")
        piece = self._piece(text)
        self._part = _TAGS[self._part][tag]
        return piece if text else self._next()

    def _begin_call(self, head: re.Match[str]) -> ToolCallPiece:
        self._text = self._text[head.end() :]
        self._part = _Part.ARGUMENTS
        self._calls += 1
        return ToolCallPiece(self._calls - 1, "", f"call_{self._call_id}_{self._calls}", str(json.loads(head[1])))

    def _release(self, tags: Sequence[str]) -> ChatPiece | None:
        """Keep what may become a tag."""
        if self._part is _Part.CALL:
            return None
        kept = max(length for tag in tags for length in range(len(tag)) if self._text.endswith(tag[:length]))
        end = len(self._text) - kept
        text, self._text = self._text[:end], self._text[end:]
        return self._piece(text) if text else None

    def _piece(self, text: str) -> ChatPiece:
        match self._part:
            case _Part.THOUGHTS:
                return Reasoning(text)
            case _Part.ARGUMENTS:
                return ToolCallPiece(self._calls - 1, text)
            case _:
                return Content(text)
