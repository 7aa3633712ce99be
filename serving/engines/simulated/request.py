"""One sequence of tokens, as the scheduler keeps it."""

from enum import Enum

from serving.engines.simulated.blocks import Prefix


class State(Enum):
    NEW = "new"
    INGESTING = "ingesting"
    WAITING = "waiting"
    PREFILLING = "prefilling"
    DECODING = "decoding"
    ENDED = "ended"


class Request:
    """The scheduler reads no token: it needs how many there are, and names for their prefixes."""

    __slots__ = (
        "arrival",
        "blocks",
        "cached_tokens",
        "due_at",
        "made_tokens",
        "named_blocks",
        "output_tokens",
        "preemptions",
        "prefilled_tokens",
        "prefix",
        "priority",
        "prompt_tokens",
        "ready_at",
        "state",
        "uncached_tokens",
    )

    def __init__(self, prompt_tokens: int, output_tokens: int, prefix: Prefix, priority: int = 0) -> None:
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        """How many tokens the model will make; at least 1."""
        self.prefix = prefix
        """Asked only for blocks whose tokens stand in the prompt or have been made."""
        self.priority = priority
        """Lower is sooner."""
        self.state = State.NEW
        self.made_tokens = 0
        """Of the output, those of the step that has begun included."""
        self.cached_tokens = 0
        """Of the prompt, found in the cache when the request was first admitted."""
        self.preemptions = 0

        # The scheduler's own.
        self.arrival = 0
        self.ready_at = 0.0
        self.uncached_tokens = 0
        """While waiting: what there was to compute when it began to wait."""
        self.prefilled_tokens = 0
        """While prefilling: tokens that are in the KV cache."""
        self.blocks: list[int] = []
        self.named_blocks = 0
        self.due_at = 0
        """While decoding: how many tokens it has made when it next needs a block, or comes to its last token."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.made_tokens

    @property
    def computed_tokens(self) -> int:
        """Tokens in the KV cache. What a step makes is computed by the next one."""
        return self.total_tokens - 1 if self.state is State.DECODING else self.prefilled_tokens

    @property
    def has_made_all(self) -> bool:
        return self.made_tokens == self.output_tokens

    def __lt__(self, other: "Request") -> bool:
        return (self.priority, self.arrival) < (other.priority, other.arrival)

    def __repr__(self) -> str:
        return f"<Request {self.state.value} {self.prompt_tokens}+{self.made_tokens}/{self.output_tokens}>"
