"""The float64 run that both models are measured against, and what can be seen in it."""
