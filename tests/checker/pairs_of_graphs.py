"""Pairs that one premise of cuts, graphs and sizes tells apart."""

from __future__ import annotations

from premises import Pair

GRAPHS: tuple[Pair, ...] = ()
