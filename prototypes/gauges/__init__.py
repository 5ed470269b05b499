"""The fold as one choice of a scale and a shift for every value, beside today's search."""
