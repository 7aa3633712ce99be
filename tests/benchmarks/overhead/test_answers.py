"""A raw replica reports its load as a real one does."""

import base64
import random

from hpack import Decoder

from benchmarks.overhead.answers import Report
from benchmarks.overhead.wire import HeaderBlocks
from gateway.rpc import orca


def test_trailers_carry_a_load_report_that_counts_requests() -> None:
    report, blocks, decoder = Report(random.Random(0)), HeaderBlocks(), Decoder()
    for count in (1, 2, 70_000):
        report.received_requests = count
        fields = dict(decoder.decode(report.trailers(blocks), raw=True))
        assert fields[b"grpc-status"] == b"0"
        encoded = fields[orca.TRAILER]
        parsed = orca.parse_report(base64.b64decode(encoded + b"=" * (-len(encoded) % 4)), received_at=0.0)
        assert parsed.received_requests == count
        assert parsed.boot_id > 0


def test_the_stream_of_reports_says_the_same() -> None:
    report = Report(random.Random(0))
    report.received_requests = 5
    message = report.message()
    assert int.from_bytes(message[1:5], "big") == len(message) - 5
    assert orca.parse_report(message[5:], received_at=0.0).received_requests == 5
