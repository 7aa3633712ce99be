"""How many of the cases that h2spec 2.6 lists a server passes: python -m tests.conformance HOST:PORT

The server answers GET / with 200 and some content, in HTTP/2 without TLS.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from gateway.config import split_address
from tests.conformance import cases_generic, cases_hpack, cases_http2
from tests.conformance.script import Case, Player, play
from tests.conformance.wires import SocketWire

CASES = [*cases_generic.CASES, *cases_http2.CASES, *cases_hpack.CASES]
STRICT = "http2/5.4.1/2"
"""RFC 7540 only recommends it: h2spec counts it under --strict alone, and 146 cases without it."""


def misses(address: str, timeout_s: float, cases: Sequence[Case] = CASES) -> Iterator[Case]:
    """Yield the cases that the server at HOST:PORT does not pass. Raises OSError where nobody listens."""
    host, port = split_address(address)
    for case in cases:
        wire = SocketWire(host, port, timeout_s)
        try:
            if not play(case, Player(wire, address)):
                yield case
        finally:
            wire.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS", help="for each answer (%(default)s)")
    arguments = parser.parse_args()
    missed = 0
    for case in misses(arguments.address, arguments.timeout):
        missed += 1
        sys.stdout.write(f"{case.id:<18} {case.says}\n")
    sys.stdout.write(f"{len(CASES) - missed} of {len(CASES)} pass\n")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
