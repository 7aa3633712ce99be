"""The simulated model's tokens: four bytes of UTF-8 each. The id is the text, so there is no vocabulary, and prompts
are about as long as with real models. Characters are cut wherever the fourth byte falls, as real tokenizers may."""

import re
from codecs import getincrementaldecoder
from collections.abc import Sequence
from enum import IntEnum
from struct import pack, unpack

TOKEN_BYTES = 4

# Bytes above 0xf7 never occur in UTF-8: one fills up short tokens, another marks special ones.
_FILLER = b"\xff"
_MARK = 0xFE

# A token ends where one of these runs ends, so that what follows has the same ids whatever stands before it. An answer
# after such a prompt is found in the prefix cache when it comes back as part of the next prompt.
_SEGMENT = re.compile(rb"[^\n.:?!>]*[\n.:?!>]*")


class Special(IntEnum):
    """Tokens that no text encodes to."""

    BEGIN = _MARK
    END = _MARK | 1 << 8
    SYSTEM = _MARK | 2 << 8
    USER = _MARK | 3 << 8
    ASSISTANT = _MARK | 4 << 8
    TOOL = _MARK | 5 << 8
    DEVELOPER = _MARK | 6 << 8
    THINK = _MARK | 7 << 8
    """At the end of a prompt: think before you answer."""


_SPECIAL_TEXTS = {int(special): f"<|{special.name.lower()}|>" for special in Special}


def encode(text: str) -> list[int]:
    """Return the ids of a text, without special tokens. `decode` of each in turn gives the text again."""
    filled = b"".join(segment + _FILLER * (-len(segment) % TOKEN_BYTES) for segment in _SEGMENT.findall(text.encode()))
    return list(unpack(f"<{len(filled) // TOKEN_BYTES}I", filled))


def as_bytes(token_ids: Sequence[int]) -> bytes:
    """Return the ids as they stand on the wire: fixed32, little-endian."""
    return pack(f"<{len(token_ids)}I", *token_ids)


class SimulatedDecoder:
    """Gives a character when its last byte is there."""

    def __init__(self, *, skip_special_tokens: bool) -> None:
        self._skip_special_tokens = skip_special_tokens
        self._utf8 = getincrementaldecoder("utf-8")("replace")

    def decode(self, token_id: int) -> str:
        special = _SPECIAL_TEXTS.get(token_id)
        if special is None:
            return self._utf8.decode(token_id.to_bytes(TOKEN_BYTES, "little").rstrip(_FILLER))
        return self.flush() + ("" if self._skip_special_tokens else special)

    def flush(self) -> str:
        return self._utf8.decode(b"", final=True)


class SimulatedTokenizer:
    def encode(self, text: str) -> list[int]:
        return [int(Special.BEGIN), *encode(text)]

    def decoder(self, prompt_token_ids: Sequence[int], *, skip_special_tokens: bool) -> SimulatedDecoder:
        """What the model says begins with a whole character, whatever the prompt ends with."""
        return SimulatedDecoder(skip_special_tokens=skip_special_tokens)
