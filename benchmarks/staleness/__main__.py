"""What old load reports cost each policy: time to first token, in virtual time, with the gateway's own decisions.

    python -m benchmarks.staleness [--policies queue_depth,least_connection] [--requests 2000] [--replicas 4]

Poisson arrivals, ten a second for each replica, prompts of very different lengths, no shared prefixes. The same seed
gives the same table. Reports are made every so many milliseconds; at 0, before each decision.
"""

import argparse
from collections.abc import Sequence

from benchmarks.staleness.simulation import Load, Simulation, percentile

STALENESS_MS = (0, 10, 100, 1_000)
POLICIES = ("random", "round_robin", "least_connection", "queue_depth", "power_of_two", "least_work")


def row(policy: str, load: Load) -> list[str]:
    """Return for each staleness the median and the 99th percentile, in milliseconds."""
    cells = list[str]()
    for staleness_ms in STALENESS_MS:
        ttfts_s = Simulation(policy, staleness_ms / 1000, load).run()
        cells.append(f"{percentile(ttfts_s, 0.5) * 1000:6.0f} / {percentile(ttfts_s, 0.99) * 1000:6.0f}")
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.staleness", description=__doc__)
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--replicas", type=int, default=4)
    options = parser.parse_args(arguments)
    load = Load(options.requests, options.replicas)
    print("p50 / p99 in ms " + "".join(f"{each} ms".rjust(18) for each in STALENESS_MS))
    for policy in options.policies.split(","):
        print(f"{policy:17}{''.join(f'{cell:>18}' for cell in row(policy, load))}", flush=True)


if __name__ == "__main__":
    main()
