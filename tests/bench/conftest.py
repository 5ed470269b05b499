from __future__ import annotations

import sys
from pathlib import Path

# The benchmarks are a package of the checkout, which is not installed.
sys.path.insert(0, str(Path(__file__).parents[2]))
