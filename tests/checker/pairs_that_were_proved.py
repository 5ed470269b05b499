"""Pairs that were once called equal and are not, and beside each one that is and stays proved.

They were found by two who tried to have a wrong model proved, first with the documentation alone.
"""

from __future__ import annotations

import pairs_of_inputs
import pairs_of_numbers
import pairs_of_roundings
import pairs_of_sizes
from premises import Pair

WRONG: dict[str, Pair] = {
    **pairs_of_inputs.WRONG,
    **pairs_of_sizes.WRONG,
    **pairs_of_numbers.WRONG,
    **pairs_of_roundings.WRONG,
}
RIGHT: dict[str, Pair] = {
    **pairs_of_inputs.RIGHT,
    **pairs_of_sizes.RIGHT,
    **pairs_of_numbers.RIGHT,
    **pairs_of_roundings.RIGHT,
}
