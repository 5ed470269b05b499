"""Inputs to compare on: what a graph accepts, at which sizes, drawn or given."""
