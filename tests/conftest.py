from __future__ import annotations

import os
import sys
from pathlib import Path

# One thread a process: the workers share the cores, and idle threads spin. Set before torch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# Helpers shared by the tests lie beside them: `from graphs import Net`.
sys.path.insert(0, str(Path(__file__).parent / "helpers"))

_QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
settings.register_profile("ci", deadline=None, suppress_health_check=_QUIET, derandomize=True)
settings.register_profile("nightly", deadline=None, suppress_health_check=_QUIET, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
