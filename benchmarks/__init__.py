"""What stands behind each number of the README, one command each; see docs/benchmarks.md."""
