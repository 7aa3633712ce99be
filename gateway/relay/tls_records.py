"""Where the records of TLS end in what a peer sends, and how many of them carry nothing (RFC 8446, 5.1)."""

from collections.abc import Sequence

AT_ONCE = 32
"""Records that are decrypted before it is looked at what they carried."""
_HEAD_BYTES = 5
_EARNING_BYTES = 1024 * 1024
"""Of content, for one record more that carries nothing: peers update their keys after some gigabytes."""


class Records:
    def __init__(self) -> None:
        self._head = b""
        """Of a record of which no more has come; it waits here."""
        self._left_bytes = 0
        """Of a record whose head has come."""
        self._empty = 0.0

    def split(self, data: bytes) -> Sequence[tuple[bytes, int]]:
        """Return what has come in pieces, each with the number of records that end in it, `AT_ONCE` at most."""
        if self._head:
            data, self._head = self._head + data, b""
        pieces: list[tuple[bytes, int]] = []
        size, begin, end = len(data), 0, self._left_bytes
        records = int(0 < end <= size)
        while end <= size - _HEAD_BYTES:
            end += _HEAD_BYTES + (data[end + 3] << 8 | data[end + 4])
            if end <= size:
                records += 1
                if records == AT_ONCE:
                    pieces.append((data[begin:end], records))
                    begin, records = end, 0
        self._left_bytes = max(0, end - size)
        if end < size:
            self._head = data[end:]
        if begin < min(end, size):
            pieces.append((data[begin:end], records))
        return pieces

    def count(self, records: int, chunks: Sequence[bytes]) -> float:
        """Return how many records without content there are more than content has earned, now that `records` more have
        ended, whose content is `chunks`: that of one each."""
        if self._empty or records != len(chunks):
            earned = sum(map(len, chunks)) / _EARNING_BYTES
            self._empty = max(0.0, self._empty + records - len(chunks) - earned)
        return self._empty
