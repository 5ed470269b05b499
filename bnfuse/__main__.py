"""``python -m bnfuse`` is the command ``bnfuse``."""

from bnfuse.cli.main import main

if __name__ == "__main__":
    main()
