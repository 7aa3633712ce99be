"""Conversations of several turns."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar, Unpack, cast

from gateway.client.messages import AnyMessage, Message, message_of
from gateway.client.options import ChatOptions
from gateway.client.results import Reply

StreamT = TypeVar("StreamT")


class Session(Generic[StreamT]):
    """One conversation: its id, its messages so far, and the options of its turns. Made by `client.session()`.

    A turn that fails leaves the conversation as it was, so the same turn can be tried again.
    """

    def __init__(
        self,
        start: Callable[[Sequence[Message], ChatOptions, Callable[[Reply], None]], StreamT],
        messages: Iterable[AnyMessage],
        options: ChatOptions,
    ) -> None:
        self._start = start
        self._options = options
        self.session_id = options.get("session_id", "")
        """Goes with each turn, so that routing may keep them together."""
        self.messages = [message_of(message) for message in messages]
        """The conversation so far. It may be edited between turns."""

    def chat(self, *messages: str | AnyMessage, **options: Unpack[ChatOptions]) -> StreamT:
        """Ask for the next turn; a string is a user's message.

        Once the reply has been read to its end, `messages` and the (first choice's) reply join the conversation.
        """
        new = [Message("user", item) if isinstance(item, str) else message_of(item) for item in messages]

        def joined(reply: Reply) -> None:
            self.messages += [*new, reply.message]

        merged = cast(ChatOptions, {**self._options, **options})
        return self._start([*self.messages, *new], merged, joined)

    def __repr__(self) -> str:
        return f"<Session {self.session_id}: {len(self.messages)} messages>"
