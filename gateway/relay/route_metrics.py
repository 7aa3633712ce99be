"""What a worker counts for each route. Names come from the settings alone, never from a request, so they are few."""

from gateway.errors import Failure, Refused
from gateway.instruments import Counter
from gateway.metrics import REQUEST_BOUNDS_S, TIME_TO_FIRST_TOKEN_BOUNDS_S, Registry
from gateway.types import Usage

__all__ = ["RouteMetrics", "RouteTally"]


class RouteTally:
    """One route's. An exchange looks it up once, and a token touches none of it."""

    __slots__ = ("_cached", "_completion", "_ended", "_name", "_of", "_prompt", "_request", "first_token")

    def __init__(self, of: "RouteMetrics", name: str) -> None:
        self._of = of
        self._name = name
        self._ended: dict[str, Counter] = {}
        self._request = of.request_s.child(name)
        self.first_token = of.first_token_s.child(name)
        tokens = of.tokens.child
        self._prompt, self._cached, self._completion = (
            tokens(name, "prompt"),
            tokens(name, "cached"),
            tokens(name, "completion"),
        )

    def ended(self, status: str, took_s: float) -> None:
        """A request has its end, by the name of the status that the agent was told."""
        requests = self._ended.get(status)
        if requests is None:
            requests = self._ended[status] = self._of.requests.child(self._name, status)
        requests.add()
        self._request.observe(took_s)

    def failed(self, failure: Failure) -> None:
        """The gateway itself ends a request; only what no replica was given is a refusal."""
        if isinstance(failure, Refused):
            self._of.refusals.child(self._name, failure.reason.value).add()

    def used(self, usage: Usage) -> None:
        """The replica has told what a request has cost."""
        self._prompt.add(usage.prompt_tokens)
        self._cached.add(usage.cached_tokens)
        self._completion.add(usage.completion_tokens)


class RouteMetrics:
    """The families; a route without requests has no samples."""

    def __init__(self, registry: Registry) -> None:
        name = "inference_gateway_route_".__add__
        self.requests = registry.counter(
            name("requests_total"), "Exchanges ended, by what the agent was told.", "route", "status"
        )
        self.refusals = registry.counter(
            name("refusals_total"), "Requests that no replica was given, by reason.", "route", "reason"
        )
        self.first_token_s = registry.histogram(
            name("time_to_first_token_seconds"),
            "From request headers to response data.",
            TIME_TO_FIRST_TOKEN_BOUNDS_S,
            "route",
        )
        self.request_s = registry.histogram(
            name("request_seconds"), "From request headers to the end of the exchange.", REQUEST_BOUNDS_S, "route"
        )
        self.tokens = registry.counter(
            name("tokens_total"),
            "As replicas report them at the end: prompt, cached (of prompt), completion.",
            "route",
            "kind",
        )
        self._tallies: dict[str, RouteTally] = {}

    def of(self, name: str) -> RouteTally:
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = RouteTally(self, name)
        return tally
