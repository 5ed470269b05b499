from __future__ import annotations

import sys
from pathlib import Path

# The cases and their judge are shared with benchmarks/conformance.py.
sys.path.insert(0, str(Path(__file__).parent))
