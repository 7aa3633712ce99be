"""Fuzz the core by coverage: python -m tests.fuzz TARGET [SECONDS]

Starts from tests/fuzz/corpus and from the cases of tests/conformance; what reaches new code is added to the corpus, and
what breaks something is written to the working directory. Needs constraints/fuzz.txt.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway.http2", "hpack"]):
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
_LONGEST = 1_024
"""Of one input, bytes: longer ones are slower and reach nothing else."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("seconds", type=int, nargs="?", default=300)
    arguments = parser.parse_args()
    # Not removed: libFuzzer ends the process by itself.
    begins_with = Path(tempfile.mkdtemp())
    for number, seed in enumerate(seeds(arguments.target)):
        (begins_with / str(number)).write_bytes(seed)
    limits = (f"-max_len={_LONGEST}", f"-max_total_time={arguments.seconds}", "-rss_limit_mb=1024", "-timeout=5")
    folders = (str(CORPUS / arguments.target), str(begins_with))
    atheris.Setup([sys.argv[0], *limits, *folders], TARGETS[arguments.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
