"""`make demo`, or `python -m benchmarks.demo --engine simulated|vllm`.

Exit codes: 0 all requests were answered, 1 some were not or something did not start, 130 Ctrl-C, 143 SIGTERM.
"""

import sys

try:
    from benchmarks.demo.main import main  # Takes long enough to be interrupted.

    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
