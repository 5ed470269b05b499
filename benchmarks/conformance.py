"""Do the models that the onnx package ships stay what they are? ``benchmarks.conformance``.

Folds every backend test of the onnx package and compares outputs, interface and validity; prints
the tally as a table, with the reason of each case that is not compared or fails.

Exits with 1 if one failed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "conformance"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from onnx_cases import all_cases, light_cases
from outcome import Status, judge

from benchmarks.environment import save


def main() -> int:
    """Print the tally, and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="of an operator's cases, every Nth")
    every = parser.parse_args().every
    tally: dict[str, Counter[Status]] = defaultdict(Counter)
    folded: Counter[str] = Counter()
    reasons: dict[str, list[str]] = defaultdict(list)
    for cases in (all_cases(every), light_cases()):
        for case in cases:
            outcome = judge(case)
            tally[case.kind][outcome.status] += 1
            folded[case.kind] += outcome.folded
            if outcome.reason:
                reasons[f"{outcome.status.value}: {outcome.reason}"].append(case.name)
    print(f"| cases | models | {' | '.join(status.value for status in Status)} | folded sites |")
    print("|---" * (len(Status) + 3) + "|")
    for kind, counts in tally.items():
        columns = (counts.total(), *(counts[status] for status in Status), folded[kind])
        print(f"| {kind} | {' | '.join(f'{n:,}' for n in columns)} |")
    for reason, names in reasons.items():
        print(f"{len(names)} {reason} ({', '.join(names[:3])})")
    if every == 1:
        rows = {k: {s.value: counts[s] for s in Status} for k, counts in tally.items()}
        save("conformance", {"cases": rows, "folded": folded, "reasons": reasons})
    return int(any(counts[Status.FAILED] for counts in tally.values()))


if __name__ == "__main__":
    sys.exit(main())
