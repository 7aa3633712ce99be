import logging

import pytest

from gateway import logs


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ('a "quote"', '"a \\"quote\\""'),
        ("two\nlines", '"two lines"'),
        ("a=b", '"a=b"'),
        ("", '""'),
        (0.12345, "0.123"),
        (3, "3"),
    ],
)
def test_a_value_stays_on_its_line_and_between_its_neighbours(value: object, shown: str) -> None:
    assert logs.line("it_happened", key=value, none=None, last=1) == f"event=it_happened key={shown} last=1"


def test_every_record_is_one_line_of_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.root.handlers[:], logging.root.level
    try:
        logs.configure("info")
        logging.getLogger("test").info(logs.line("it_happened", count=2))
        logging.getLogger("test").warning("from a library: %s", "odd")
        logging.getLogger("test").debug("not shown")
    finally:
        logging.root.handlers[:], logging.root.level = before
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("at=20")
    assert first.endswith("Z level=info logger=test event=it_happened count=2")
    assert second.endswith('level=warning logger=test event=message text="from a library: odd"')


def test_what_comes_again_and_again_gets_a_line_in_ten_seconds_for_each_cause(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 100.0
    seldom = logs.Seldom(logging.getLogger("test"), lambda: now_s)
    for cause in ("tls", "tls", "http1", "tls"):
        seldom.warn(cause, "it_failed", cause=cause)
    now_s = 110.0
    seldom.warn("tls", "it_failed", cause="tls")
    seldom.warn("http1", "it_failed", cause="http1")
    assert caplog.messages == [
        "event=it_failed cause=tls",
        "event=it_failed cause=http1",
        "event=it_failed cause=tls unlogged_before=2",
        "event=it_failed cause=http1",
    ]
