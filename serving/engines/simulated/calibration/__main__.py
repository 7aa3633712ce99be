"""Prints the step time that fits the measurements best, and what the profile makes of each of them."""

import sys

from serving.engines.simulated.calibration import error, fit, line, rows, run, summary
from serving.engines.simulated.profiles import LLAMA_3_1_8B_H100


def main() -> None:
    profile = LLAMA_3_1_8B_H100
    measured = rows()
    sys.stdout.write(f"fitted:  {fit(profile.limits, measured)}\nprofile: {profile.step_time}\n\n")
    errors: list[float] = []
    for row in measured:
        outcome = run(profile.limits, profile.step_time, row)
        errors.append(abs(error(row, outcome)))
        sys.stdout.write(line(row, outcome))
    sys.stdout.write(f"\nerror of TPOT: {summary(errors)}\n")


if __name__ == "__main__":
    main()
