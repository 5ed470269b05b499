"""Pairs that one premise of linear forms tells apart."""

from __future__ import annotations

from premises import Pair

FORMS: tuple[Pair, ...] = ()
