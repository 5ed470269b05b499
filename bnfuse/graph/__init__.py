"""Tools for a graph in memory: per-channel affines, constants, sizes, names and small surgery."""
