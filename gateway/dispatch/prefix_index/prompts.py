"""A request's prompt, as the index sees it: how long, and how much of it each replica has cached."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

from gateway.dispatch.prefix_index.chain import BLOCK_BYTES, BLOCK_TOKENS, ENDS, Chain, seed
from gateway.dispatch.prefix_index.holders import Holders
from gateway.dispatch.prefix_index.news import blocks_of
from gateway.fleet.fleet import Fleet, FleetChange
from gateway.types import PromptRead, Usage

__all__ = ["BytesPerToken", "PrefixIndex", "Prompt"]

Scope = tuple[str, str, str]
"""Model, adapter, cache salt."""

_KV_CACHE_TOKENS: Final = 262_144
"""Of a replica that does not say: what an 8B model leaves on one GPU, to within a factor of two."""
_BYTES_PER_TOKEN: Final = 4.0
"""English text in the tokenizers of current models, until a model's own ratio is known."""
_WEIGHT: Final = 0.05
"""Of each new ratio in the mean: some twenty requests."""
_MODELS_MAX: Final = 1_000
_PIECE_BYTES: Final = 512 * 1024
"""Of a long prompt: to name its blocks takes a fifth of a millisecond."""


class BytesPerToken:
    """Learnt for each model from prompts whose tokens a replica has counted, with what the chat template adds."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def of(self, model: str) -> float:
        return self._ratios.get(model, _BYTES_PER_TOKEN)

    def learn(self, model: str, text_bytes: int, tokens: int) -> None:
        if tokens <= 0 or (model not in self._ratios and len(self._ratios) >= _MODELS_MAX):
            return
        known = self._ratios.get(model)
        seen = text_bytes / tokens
        self._ratios[model] = seen if known is None else known + _WEIGHT * (seen - known)

    def values(self) -> Mapping[str, float]:
        return self._ratios


class PrefixIndex:
    """Reads prompts, and remembers where they were read. One for each worker; `on_read` is told what others may not
    know: a replica, its incarnation and the blocks of a prompt some of which are new to it."""

    def __init__(self, secret: bytes, blocks_max: int, on_read: Callable[[str, int, Sequence[int]], None]) -> None:
        self.holders = Holders(blocks_max)
        self.bytes_per_token = BytesPerToken()
        self.missed = 0
        """Requests that found less cached than was thought."""
        self._on_read = on_read
        # Most requests are of few scopes; salts are agents' to invent.
        self._seed = lru_cache(1_024)(partial(seed, secret))

    def open(self, replica_id: str, incarnation: int, kv_cache_tokens: int) -> None:
        """A replica is there, or says another size of its KV cache; 0: not known."""
        self.holders.open(replica_id, incarnation, (kv_cache_tokens or _KV_CACHE_TOKENS) // BLOCK_TOKENS)

    def close(self, replica_id: str) -> None:
        self.holders.close(replica_id)

    def follow(self, change: FleetChange, fleet: Fleet) -> None:
        """Open and close what a snapshot has changed."""
        for replica_id in change.removed:
            self.close(replica_id)
        for replica_id in (*change.added, *change.changed, *change.restarted):
            record = fleet.record(replica_id)
            assert record is not None
            self.open(replica_id, record.incarnation, record.kv_cache_tokens)

    def of_ids(self, scope: Scope, ids: bytes | memoryview) -> "Prompt":
        """Read a prompt of token ids, as fixed32."""
        return Prompt(self, scope, ids, is_text=False)

    def of_text(self, scope: Scope, text: bytes | memoryview) -> "Prompt":
        """Read a prompt of text, or of anything that the tokens follow from in the same order."""
        return Prompt(self, scope, text, is_text=True)

    def chain(self, scope: Scope, data: bytes | memoryview, *, is_text: bool) -> Chain:
        return Chain(self._seed("text" if is_text else "ids", *scope), data)

    def read_elsewhere(self, reads: Sequence[PromptRead]) -> None:
        """Other workers had replicas read these prompts. Raises ValueError where names of blocks are cut."""
        for read in reads:
            if self.holders.is_open(read.replica_id, read.incarnation):
                self.holders.use(read.replica_id, blocks_of(read))

    def read(self, replica_id: str, incarnation: int, blocks: Sequence[int]) -> None:
        if blocks and self.holders.is_open(replica_id, incarnation) and self.holders.use(replica_id, blocks):
            self._on_read(replica_id, incarnation, blocks)


class Prompt:
    """One request's prompt (types.Prefix). What is cached is looked up whenever it is asked."""

    __slots__ = (
        "_chain",
        "_data",
        "_index",
        "_is_text",
        "_is_whole",
        "_known_blocks",
        "_scope",
        "_size",
        "tokens",
    )

    def __init__(self, index: PrefixIndex, scope: Scope, data: bytes | memoryview, *, is_text: bool) -> None:
        self._index = index
        self._scope = scope
        self._data = data
        """Let go once it is read: whether a request is ever dispatched decides whether it is."""
        self._size = len(data)
        self._is_text = is_text
        each = index.bytes_per_token.of(scope[0]) if is_text else 4.0
        self.tokens = int(-(-float(self._size) // each))
        self._known_blocks: Sequence[int] | None = () if self._size < BLOCK_BYTES else None
        self._chain: Chain | None = None

    def renamed(self, model: str, lora_name: str) -> "Prompt":
        """Return the same for a model and adapter by their own names. Before anything is asked of it."""
        return Prompt(self._index, (model, lora_name, self._scope[2]), self._data, is_text=self._is_text)

    def name(self, most_bytes: int = _PIECE_BYTES) -> bool:
        """Name blocks of so many bytes more; return whether all have names. Whoever asks for a long prompt before gets
        them named in one go, which takes a quarter of a millisecond for each megabyte."""
        if self._known_blocks is None:
            if self._chain is None:
                self._chain = self._index.chain(self._scope, self._data, is_text=self._is_text)
                self._data = b""
            if not self._chain.extend(most_bytes):
                return False
            self._known_blocks, self._chain = self._chain.names, None
        return True

    @property
    def _blocks(self) -> Sequence[int]:
        self.name(self._size)
        return self._known_blocks or ()

    def cached_tokens(self, replica_id: str) -> int:
        return self._tokens(self._index.holders.depth(replica_id, self._blocks))

    def cached(self) -> Sequence[tuple[tuple[str, ...], int]]:
        return [(ids, self._tokens(depth)) for ids, depth in self._index.holders.depths(self._blocks)]

    def read(self, replica_id: str, incarnation: int) -> None:
        """It was sent there, and will be cached."""
        self._index.read(replica_id, incarnation, self._blocks)

    def used(self, replica_id: str, usage: Usage, expected_tokens: int, *, is_settled: bool) -> None:
        """The replica has counted its tokens. `expected_tokens`: what it was thought to have cached; `is_settled`: all
        that it had been sent before was read by then, so that less than expected is a wrong guess."""
        if self._is_text:
            self._index.bytes_per_token.learn(self._scope[0], self._size, usage.prompt_tokens)
            expected_tokens = expected_tokens * usage.prompt_tokens // max(1, self.tokens)
        # Blocks of the engine's own size, and a tail that no block of ours covers, are no surprise.
        tolerance = BLOCK_TOKENS + expected_tokens // 8
        if is_settled and usage.cached_tokens < expected_tokens - tolerance:
            self._index.missed += 1
            self._index.holders.missed(replica_id)
        elif usage.cached_tokens > expected_tokens + tolerance:
            self._index.holders.surprised(replica_id)

    def _tokens(self, names: int) -> int:
        # The last token is always computed, for what comes after it.
        return max(0, min(self.tokens - 1, int(ENDS[names] * BLOCK_BYTES * self.tokens / max(1, self._size))))
