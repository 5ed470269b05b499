"""The original under judgement: its own runs, and the truth of the decisions that they took."""
