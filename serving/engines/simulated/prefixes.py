"""Names for the prefixes of one sequence, as vLLM's chain of block hashes (vllm/v1/core/kv_cache_utils.py)."""

from collections.abc import Callable, Hashable, Sequence


class Prefixes:
    """The name of a block is a hash of its tokens and of the name before it. Before the first stands a root that says
    who may share it. 64 bits are enough: names stay in the process, and there is no KV cache to steal by forgery."""

    def __init__(self, root: Hashable, block_tokens: int, read: Callable[[int, int], Sequence[int]]) -> None:
        """`read` returns the sequence's tokens from one position up to another."""
        self._block_tokens = block_tokens
        self._read = read
        self._names = [hash(root)]

    def __call__(self, number: int) -> int:
        names = self._names
        while len(names) <= number + 1:
            start = (len(names) - 1) * self._block_tokens
            names.append(hash((names[-1], *self._read(start, start + self._block_tokens))))
        return names[number + 1]
