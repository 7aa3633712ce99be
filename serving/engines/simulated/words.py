"""What the simulated model says: words that mean nothing."""

from hashlib import blake2b
from itertools import chain

from serving.engines.simulated.tokens import encode

# With the space behind it each is 4, 8 or 12 bytes long, so that a text of these has the same ids when it is encoded
# again. Tokens of the last line cut a character in two.
_TEXT = """
    the and for are but not you all can had her was one our out day get has him his how man new now old see two way who
    did its let put say she too use any big end far few got own run sea sun top war yes air art ask bad bed bit box car
    gateway replica streams request between another machine network history morning evening nothing outside present
    science silence several special station teacher thought thunder towards traffic trouble village weather whether
    without working writing balance bridges captain careful central century certain chapter climate Zürich mañana Bézier
    accelerates agriculture application arrangement calculation combination competition comfortable consequence
    electricity engineering environment examination experienced imagination improvement independent information
    forêts schöne großes gewähr crêpes 東京, hi🙂,
"""
WORDS = _TEXT.split()

PHRASE_TOKENS = 8
_DIGEST_BYTES = 64
_CHUNK_TOKENS = PHRASE_TOKENS * _DIGEST_BYTES


def _phrase(number: int) -> tuple[int, ...]:
    tokens: list[int] = []
    for draw in blake2b(bytes((number,))).digest():
        word = encode(f"{WORDS[draw % len(WORDS)]} ")
        if len(tokens) + len(word) <= PHRASE_TOKENS:
            tokens += word
    return tuple(tokens)


PHRASES = tuple(_phrase(number) for number in range(256))
"""One for each value of a byte, all of the same length: where each token stands is known without those before it."""


class Words:
    """An endless text, a pure function of its key: the same on every machine, from any position on."""

    def __init__(self, key: bytes) -> None:
        """`key` is at most 64 bytes long."""
        self._key = key
        self._number = -1
        self._chunk: list[int] = []

    def tokens(self, start: int, stop: int) -> list[int]:
        """Return the tokens from position `start` up to `stop`."""
        tokens: list[int] = []
        while start < stop:
            number, offset = divmod(start, _CHUNK_TOKENS)
            tokens += self._chunk_at(number)[offset : offset + stop - start]
            start = (number + 1) * _CHUNK_TOKENS
        return tokens

    def _chunk_at(self, number: int) -> list[int]:
        if number != self._number:
            draws = blake2b(number.to_bytes(8, "little"), key=self._key).digest()
            self._number = number
            self._chunk = list(chain.from_iterable(PHRASES[draw] for draw in draws))
        return self._chunk
