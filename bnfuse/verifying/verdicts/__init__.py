"""Measurements, thresholds and the verdicts that follow from them."""
