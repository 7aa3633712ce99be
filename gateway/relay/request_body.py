"""What an agent has sent of its request, kept until no other attempt can need it."""

from gateway.errors import Failure, Limit, Reason
from gateway.relay.memory import CHUNK_BYTES, RequestMemory
from gateway.rpc.framing import PREFIX_BYTES, MalformedFraming, message_end, prefix


class RequestBody:
    """Bytes of DATA, and how many the agent was credited: those of the first message as soon as its length is known,
    others as they are read while no replica takes them, as the replica takes them afterwards."""

    __slots__ = (
        "_credited_bytes",
        "_is_message",
        "_kept_bytes",
        "_limit_bytes",
        "_memory",
        "_message_end",
        "_renamed_bytes",
        "_sent_bytes",
        "chunks",
        "is_compressed",
        "is_kept",
        "is_whole",
    )

    def __init__(self, memory: RequestMemory, limit_bytes: int, *, is_message: bool) -> None:
        self.chunks: list[bytes] = []
        self.is_whole = False
        self.is_compressed = False
        """The first message is, by its prefix."""
        self.is_kept = True
        """All bytes so far are in `chunks`: an attempt can begin."""
        self._memory = memory
        self._limit_bytes = limit_bytes + PREFIX_BYTES
        self._is_message = is_message
        self._kept_bytes = 0
        self._message_end: int | None = None
        self._credited_bytes = 0
        self._sent_bytes = 0
        self._renamed_bytes = 0
        """By how many the first message has grown here; the agent has not sent them."""

    @property
    def held_bytes(self) -> int:
        return self._kept_bytes + CHUNK_BYTES * len(self.chunks)

    def add(self, payload: bytes) -> None:
        """Raises Failure: MESSAGE_TOO_LARGE, or OVERLOADED where all requests together are too large."""
        if not self.is_kept:
            return
        self.chunks.append(payload)
        self._kept_bytes += len(payload)
        if not self._memory.take(payload):
            raise Failure(
                Reason.OVERLOADED, "too many bytes of requests wait for a replica", limit=Limit.BUFFERED_BYTES
            )
        if self._is_message and self._kept_bytes > self._limit_bytes:
            raise self._too_large()

    def message(self) -> bytes | None:
        """Return the first message without its prefix, or None while it is incomplete. Raises Failure."""
        end = self._message_end or self._find_end()
        if end is not None and end > self._limit_bytes:
            raise self._too_large()
        if end is not None and end <= self._kept_bytes:
            first, *others = self.chunks
            if not others:
                return first[PREFIX_BYTES:end]
            # The prefix stays a chunk of its own, so that nothing long is copied twice.
            data = b"".join((first[PREFIX_BYTES:], *others))
            self._hold(first[:PREFIX_BYTES], data)
            return data if end == self._kept_bytes else data[: end - PREFIX_BYTES]
        if self.is_whole:
            raise Failure(Reason.INVALID_REQUEST, "the request ends inside its message")
        return None

    def credit_read(self) -> int:
        """Return how many bytes to credit, now that some were read which no replica takes yet."""
        if self._kept_bytes > self._limit_bytes:
            return 0
        # An agent that has to wait for the rest of a message takes as many round trips as that has windows.
        wanted_bytes = max(self._kept_bytes, self._message_end or 0) - self._renamed_bytes
        credit = max(0, wanted_bytes - self._credited_bytes)
        self._credited_bytes += credit
        return credit

    def credit_sent(self, size: int) -> int:
        """Return how many bytes to credit, now that a replica has taken `size`."""
        self._sent_bytes += size
        credit = max(0, self._sent_bytes - self._credited_bytes)
        self._credited_bytes += credit
        return credit

    def replace(self, message: bytes) -> None:
        """Put `message`, without a prefix, in the place of the first one, which is complete. Raises Failure."""
        assert self._message_end is not None
        behind = b"".join(self.chunks)[self._message_end :] if self._message_end < self._kept_bytes else b""
        self._renamed_bytes = PREFIX_BYTES + len(message) - self._message_end
        self._kept_bytes += self._renamed_bytes
        if not self._hold(prefix(len(message)), message + behind):
            raise Failure(Reason.OVERLOADED, "too many bytes of requests wait for a replica")
        self._message_end = PREFIX_BYTES + len(message)

    def begin_attempt(self) -> None:
        """The chunks are sent, from the first one on."""
        self._sent_bytes = -self._renamed_bytes

    def let_go(self) -> None:
        """A replica takes the bytes: keep no more of them than the limit."""
        if self._kept_bytes > self._limit_bytes:
            self.forget()

    def forget(self) -> None:
        """No other attempt will be made."""
        self.is_kept = False
        chunks, self.chunks = self.chunks, []
        self._memory.give_back(chunks)
        self._kept_bytes = 0

    def _hold(self, *chunks: bytes) -> bool:
        """These are all that is kept. Return whether there is room for them."""
        self._memory.give_back(self.chunks)
        self.chunks = list(chunks)
        taken = [self._memory.take(chunk) for chunk in chunks]
        return all(taken)

    def _find_end(self) -> int | None:
        """Once it is known, the first chunk has the whole prefix."""
        data = b"".join(self.chunks)
        try:
            self._message_end = message_end(data, 0)
        except MalformedFraming as error:
            raise Failure(Reason.INVALID_REQUEST, "the request is no gRPC message") from error
        if self._message_end is not None:
            self.is_compressed = data[0] == 1
            if len(self.chunks) > 1:
                self._hold(data)
        return self._message_end

    def _too_large(self) -> Failure:
        limit_bytes = self._limit_bytes - PREFIX_BYTES
        message = f"the request's message is larger than {limit_bytes} bytes"
        return Failure(Reason.MESSAGE_TOO_LARGE, message, limit=Limit.REQUEST_BYTES)
