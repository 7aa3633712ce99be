"""Huffman decoding (RFC 7541, 5.2) in steps of a byte. The code is that of `hpack`, whose steps are half as long
and take four times as much in all: a string of 16 KiB would keep everybody else waiting for 8 ms."""

from hpack import HPACKError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

__all__ = ["decode_huffman"]

Step = tuple[bytes, int]
"""The symbols that a byte completes, and the node of the code's tree where it leaves us."""

_ROOT = 0
_EOS = 256
"""Behind the last node: where a string stays that holds EOS, which none may."""
_PADDED = frozenset((_ROOT, *(node for node, flags, _ in HUFFMAN_TABLE if flags & HUFFMAN_COMPLETE)))
"""A string may end here: what came after its last symbol is at most 7 bits, all of them ones."""
_steps: list[list[Step | None]] = [[None] * 256 for _ in range(_EOS + 1)]
"""By node and byte. Each is worked out when it is first needed: all of them would take 5 MB, and those of one node
keep everybody waiting for a quarter of a millisecond."""


def decode_huffman(string: bytes) -> bytes:
    """Raises HPACKError where the string holds EOS or is not padded as it must be."""
    node, steps = _ROOT, _steps
    symbols: list[bytes] = []
    for byte in string:
        step = steps[node][byte]
        if step is None:
            step = steps[node][byte] = _step(node, byte)
        symbol, node = step
        symbols.append(symbol)
    if node not in _PADDED:
        raise HPACKError("invalid Huffman string")
    return b"".join(symbols)


def _step(node: int, byte: int) -> Step:
    symbols = b""
    for nibble in (byte >> 4, byte & 0xF):
        if node == _EOS:
            break
        node, flags, symbol = HUFFMAN_TABLE[node * 16 + nibble]
        if flags & HUFFMAN_FAIL:
            node = _EOS
        elif flags & HUFFMAN_EMIT_SYMBOL:
            symbols += bytes((symbol,))
    return symbols, node
