"""What a load report cannot have seen: requests that this gateway sent while the report was on its way."""

from typing import Final

from gateway.types import LoadReport

__all__ = ["Unseen"]

_PERIOD_S: Final = 10.0


class Unseen:
    """Corrects the reports of one life of one replica.

    A replica of this project counts what it has received from each gateway, so what is not yet seen is exactly what
    was sent beyond that count. Some of what is sent is never received (a cancel that overtakes its request, a
    connection that cannot be made), and a worker that crashes forgets what it sent. Such a difference stays, while that
    of a request on its way is gone at the next report: the lowest difference of the last two periods is no request.
    A foreign replica counts nothing; its report is taken to have seen all that was sent before it came.
    """

    __slots__ = ("_base", "_lowest", "_lowest_before", "_period_ends_at")

    def __init__(self) -> None:
        self._base: int | None = None
        """Of the requests sent, how many the last report had seen."""
        self._lowest = self._lowest_before = 0
        self._period_ends_at = 0.0

    def reported(self, load: LoadReport, sent_requests: int) -> None:
        """Take notice of a report, received when so many requests had been sent in this life."""
        if not load.boot_id:
            self._base = sent_requests
            return
        difference = sent_requests - load.received_requests
        if self._base is None:
            self._period_ends_at = load.received_at + _PERIOD_S
            self._lowest = difference
        elif load.received_at >= self._period_ends_at:
            self._period_ends_at = load.received_at + _PERIOD_S
            self._lowest_before, self._lowest = self._lowest, difference
        self._lowest = min(self._lowest, difference)
        self._base = load.received_requests + min(self._lowest, self._lowest_before)

    def requests(self, sent_requests: int, in_flight: int) -> int:
        """Return how many of those in flight the last report had not seen; 0 without a report."""
        return 0 if self._base is None else max(0, min(sent_requests - self._base, in_flight))
