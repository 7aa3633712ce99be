"""Rendezvous hashing: each pair of session and replica has its own number, and the highest wins. So a replica that
comes or goes moves its own sessions and no others, and all gateways agree without a word."""

from collections.abc import Sequence
from hashlib import blake2b
from math import log
from typing import Final

__all__ = ["heights", "number"]

_BITS: Final = (1 << 30) - 1
"""CPython multiplies integers of up to 30 bits in one step. Of the product of an odd number and any other the low bits
are a universal hash of either (Dietzfelbinger et al., 1997), and in half the time of a remainder by a prime."""


def number(name: str) -> int:
    """Return 1 to _BITS, the same in every process and version of Python."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % _BITS + 1


def heights(session_id: str, numbers: Sequence[int], weights: Sequence[float]) -> list[float]:
    """Return the number of each pair of the session and a replica, for the replicas' own numbers and weights."""
    session = number(session_id) | 1
    draws: list[float] = [session * each & _BITS for each in numbers]
    if weights.count(weights[0]) == len(weights):
        return draws
    # Weighted rendezvous (Schindelhauer and Schomaker): the highest of -weight / log(uniform).
    return [-weight / log(draw / (_BITS + 1)) for weight, draw in zip(weights, draws, strict=True)]
