from typing import Protocol

class TokenizerLike(Protocol):
    def encode(self, text: str) -> list[int]: ...
