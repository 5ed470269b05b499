"""The candidate beside the original: all rows, all samples, all folded constants."""
