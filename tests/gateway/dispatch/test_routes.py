from collections.abc import Callable, Sequence

import pytest

from gateway.config import AliasSettings, ReplicaSettings, RouteSettings, Settings
from gateway.dispatch.routes import Routes
from gateway.errors import Failure, Reason, Refused
from gateway.fleet.leases import Lease
from gateway.types import DEFAULT_ROUTE, Facts, Route, View
from tests.gateway.fleets import METHOD, Deciding, facts, row

GOLD = RouteSettings(
    name="gold", models=("llama-*",), headers={"x-tier": "gold", "x-team": "*"}, labels={"gpu": "h100"}
)
CHAT = RouteSettings(name="chat", models=("chat",))
REST = RouteSettings(name="rest")
ALIASES = {"chat": AliasSettings(model="llama-3"), "sql": AliasSettings(model="llama-3", lora="sql-v3")}
TIER = [(b"x-tier", b"gold"), (b"x-team", b"search")]


def test_without_settings_nothing_changes() -> None:
    asked = facts("llama-3")
    assert Routes(Settings()).resolve(asked, TIER) is asked


@pytest.mark.parametrize(
    ("model", "fields", "route"),
    [
        ("llama-3", TIER, "gold"),
        ("llama-3", [(b"x-tier", b"gold")], "rest"),
        ("llama-3", [(b"x-tier", b"silver"), (b"x-team", b"a")], "rest"),
        ("llama", TIER, "rest"),
        ("sql", TIER, "gold"),
        ("chat", [], "chat"),
        ("", TIER, "rest"),
    ],
)
def test_the_first_route_that_matches_model_and_metadata_is_taken(
    model: str, fields: list[tuple[bytes, bytes]], route: str
) -> None:
    routes = Routes(Settings(routes=(GOLD, CHAT, REST), aliases=ALIASES))
    assert routes.resolve(facts(model), fields).route.name == route


def test_a_route_carries_the_labels_that_its_replicas_need() -> None:
    found = Routes(Settings(routes=(GOLD,))).resolve(facts("llama-3"), TIER)
    assert found.route == Route("gold", frozenset({("gpu", "h100")}))


def test_where_no_route_matches_the_refusal_names_the_model() -> None:
    with pytest.raises(Refused, match="no route takes requests of the model 'mistral'") as refused:
        Routes(Settings(routes=(GOLD,))).resolve(facts("mistral"), TIER)
    assert refused.value.reason is Reason.ROUTE_NOT_FOUND


def test_a_pattern_means_its_star_alone() -> None:
    routes = Routes(Settings(routes=(RouteSettings(name="r", models=("a[b]?*",)), REST)))
    assert [routes.resolve(facts(model), []).route.name for model in ("a[b]?c", "ab", "abxc")] == ["r", "rest", "rest"]


def test_an_alias_stands_for_a_model_and_its_adapter() -> None:
    routes = Routes(Settings(aliases=ALIASES))
    assert routes.resolve(facts("sql"), []) == Facts(METHOD, "llama-3", lora_name="sql-v3")
    assert routes.resolve(facts("chat"), []) == facts("llama-3")
    assert routes.resolve(facts("other"), []) == facts("other")
    with pytest.raises(Failure, match="leave lora_name empty") as failed:
        routes.resolve(Facts(METHOD, "sql", lora_name="french"), [])
    assert failed.value.reason is Reason.INVALID_REQUEST


def test_a_default_model_is_meant_where_none_is_named_and_may_be_an_alias() -> None:
    routes = Routes(Settings(aliases=ALIASES, default_model="chat"))
    assert routes.resolve(facts(""), []).model == "llama-3"
    assert routes.resolve(facts(None), []).model is None


def test_a_replica_needs_the_labels_of_the_route_the_model_and_the_adapter() -> None:
    h100, a10 = frozenset({("gpu", "h100"), ("rack", "1")}), frozenset({("gpu", "a10")})
    deciding = Deciding(
        row("a")._replace(labels=h100),
        row("b")._replace(labels=a10, loras=frozenset({("llama", "sql")})),
    )
    gold = Route("gold", frozenset({("gpu", "h100")}))

    def candidates(route: Route = DEFAULT_ROUTE, lora: str = "", model: str = "llama") -> list[str]:
        wanted = Facts(METHOD, model, lora_name=lora, route=route)
        return [view.id for view in deciding.fleet.views(wanted)]

    assert candidates() == ["a", "b"]
    assert candidates(gold) == candidates(gold, model="") == ["a"]
    assert candidates(lora="sql") == ["b"]
    assert candidates(gold, "sql") == candidates(lora="french") == []
    refused = deciding.dispatcher.dispatch(Facts(METHOD, "llama", lora_name="french"), 0.0)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.message) == (
        Reason.MODEL_NOT_FOUND,
        "no replica serves the adapter 'french' of the model 'llama'",
    )


def test_candidates_follow_when_labels_change() -> None:
    deciding = Deciding(row("a"))
    wanted = Facts(METHOD, "llama", route=Route("gold", frozenset({("gpu", "h100")})))
    assert deciding.fleet.views(wanted) == []
    deciding.apply(row("a")._replace(labels=frozenset({("gpu", "h100")})))
    assert [view.id for view in deciding.fleet.views(wanted)] == ["a"]


def test_each_route_is_picked_by_its_own_policy() -> None:
    class Last:
        def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
            return views[-1]

    deciding = Deciding(row("a"), row("b"))
    deciding.dispatcher.by_route = {"last": Last()}
    leases = [deciding.dispatcher.dispatch(Facts(METHOD, "llama", route=Route("last")), 0.0) for _ in range(3)]
    assert [lease.replica_id for lease in leases if isinstance(lease, Lease)] == ["b", "b", "b"]


MEANING_TWO_THINGS: dict[str, Callable[[], Settings]] = {
    "routes": lambda: Settings(routes=(REST, REST)),
    "aliases": lambda: Settings(aliases={"a": AliasSettings(model="chat"), "chat": AliasSettings(model="m")}),
    "replicas": lambda: Settings(replicas=(ReplicaSettings(address="a:1"), ReplicaSettings(address="b:1", id="a:1"))),
}


@pytest.mark.parametrize("settings", MEANING_TWO_THINGS)
def test_names_that_mean_two_things_are_refused(settings: str) -> None:
    with pytest.raises(ValueError, match=r"stands there twice|is an alias itself"):
        MEANING_TWO_THINGS[settings]()
