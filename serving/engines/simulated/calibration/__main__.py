"""Prints the step time that fits the measurements best, and what the profile makes of each of them."""

import sys
from statistics import fmean, median

from serving.engines.simulated.calibration import fit, rows, run
from serving.engines.simulated.profiles import LLAMA_3_1_8B_H100


def main() -> None:
    profile = LLAMA_3_1_8B_H100
    measured = rows()
    lines = [f"fitted:  {fit(profile.limits, measured)}", f"profile: {profile.step_time}", ""]
    lines.append("callers  input output   TPOT ms measured  error   TTFT ms measured")
    errors: list[float] = []
    for row in measured:
        outcome = run(profile.limits, profile.step_time, row)
        errors.append(outcome.tpot_s / row.tpot_s - 1)
        lines.append(
            f"{row.concurrency:7} {row.input_tokens:6} {row.output_tokens:6} {outcome.tpot_s * 1e3:9.2f} "
            f"{row.tpot_s * 1e3:8.2f} {errors[-1]:6.1%} {outcome.ttft_s * 1e3:9.0f} {row.ttft_s * 1e3:8.0f}"
        )
    sizes = sorted(map(abs, errors))
    lines += ["", f"error of TPOT: median {median(sizes):.2%}, mean {fmean(sizes):.2%}, largest {sizes[-1]:.2%}"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
