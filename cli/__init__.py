"""The command line: one module a command, each importing only click until it runs."""
