"""Chained hashes: the name of a block says what it holds and what stands before it."""

from collections.abc import Sequence
from hashlib import blake2b
from importlib.util import source_hash

__all__ = ["BLOCK_BYTES", "BLOCK_TOKENS", "NAME_BYTES", "chain", "seed"]

BLOCK_TOKENS = 64
"""A multiple of the engines' own blocks (vLLM: 16), so that a block of ours is cached whole or not at all."""
BLOCK_BYTES = 4 * BLOCK_TOKENS
"""Ids are fixed32. Of text it is as much, some 64 tokens of English."""
NAME_BYTES = 8


def seed(secret: bytes, *scope: str) -> bytes:
    """Return what a chain begins with: prompts share blocks only within one `scope` (model, adapter, salt).

    Agents do not know `secret`, so none can make blocks that are called like another's.
    """
    digest = blake2b(key=secret[:64], digest_size=NAME_BYTES)
    for part in scope:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.digest()


def chain(before: bytes, data: bytes) -> Sequence[bytes]:
    """Return the names of the whole blocks of `data`, after what `before` names.

    By SipHash-1-3 of the name before and the block: 64 bits each and a third of blake2b's price for 256 bytes (both
    measured). `source_hash` is its only door in the standard library that is the same in all workers.
    """
    last = len(data) - BLOCK_BYTES + 1
    return [before := source_hash(before + data[at : at + BLOCK_BYTES]) for at in range(0, last, BLOCK_BYTES)]
