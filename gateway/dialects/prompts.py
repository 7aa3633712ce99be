"""What a dialect has prompts read by: it knows where the bytes are, and others what they are worth."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.types import Prefix, Usage

__all__ = ["Prompts", "Scope", "Uncached", "Unread"]

Scope = tuple[str, str, str]
"""Model, adapter and cache salt: prompts share blocks only within one."""


class Prompts(Protocol):
    """What a dialect has prompts read by."""

    def of_ids(self, scope: Scope, ids: bytes | memoryview) -> Prefix:
        """`ids` are fixed32."""
        ...

    def of_text(self, scope: Scope, text: bytes | memoryview) -> Prefix:
        """Text, or anything that the tokens follow from in the same order."""
        ...


class Unread:
    """Counts prompts, and knows nothing of caches: one token for each 4 bytes, which is English text in the tokenizers
    of current models."""

    def of_ids(self, scope: Scope, ids: bytes | memoryview) -> Prefix:
        return Uncached(len(ids) // 4)

    def of_text(self, scope: Scope, text: bytes | memoryview) -> Prefix:
        return Uncached(-(-len(text) // 4))


class Uncached(NamedTuple):
    """A prompt of which nobody has anything cached."""

    tokens: int

    def cached(self) -> Sequence[tuple[tuple[str, ...], int]]:
        return ()

    def renamed(self, model: str, lora_name: str) -> "Uncached":
        return self

    def name(self) -> bool:
        return True

    def cached_tokens(self, replica_id: str) -> int:
        return 0

    def read(self, replica_id: str, incarnation: int) -> None:
        """Forget it."""

    def used(self, replica_id: str, usage: Usage, expected_tokens: int, *, is_settled: bool) -> None:
        """Learn nothing."""
