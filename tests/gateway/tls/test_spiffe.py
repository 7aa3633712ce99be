import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tls.spiffe import spiffe_id

ID = "spiffe://example.org/ns/agents/sa/planner"


def test_the_one_uri_of_a_certificate_names_the_peer() -> None:
    assert spiffe_id([("DNS", "a.example.org"), ("URI", ID), ("IP Address", "127.0.0.1")]) == ID


@pytest.mark.parametrize("uri", ["spiffe://example.org", "spiffe://a_b-c.9/x/y.z/...", "spiffe://t/%s" % ("a" * 2000)])
def test_every_form_of_an_id_is_taken(uri: str) -> None:
    assert spiffe_id([("URI", uri)]) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.org/x", "spiffe:/example.org", "spiffe://", "spiffe:///x", "SPIFFE://example.org/x",
        "spiffe://Example.org/x", "spiffe://example.org:443/x", "spiffe://u@example.org/x", "spiffe://example.org/",
        "spiffe://example.org//x", "spiffe://example.org/x/", "spiffe://example.org/./x", "spiffe://example.org/..",
        "spiffe://example.org/x?y", "spiffe://example.org/x#y", "spiffe://example.org/%41", "spiffe://example.org/x\n",
        "spiffe://t/%s" % ("a" * 2048),
    ],
)  # fmt: skip
def test_what_only_resembles_an_id_names_nobody(uri: str) -> None:
    assert spiffe_id([("URI", uri)]) == ""


def test_with_several_uris_it_is_not_said_which_one_counts() -> None:
    assert spiffe_id([("URI", ID), ("URI", "https://example.org")]) == ""


def test_without_names_there_is_nobody() -> None:
    assert spiffe_id([]) == spiffe_id([("DNS", ID)]) == ""


@given(st.text(max_size=40))
def test_an_id_is_never_changed_on_the_way(path: str) -> None:
    assert spiffe_id([("URI", f"spiffe://t/{path}")]) in ("", f"spiffe://t/{path}")
