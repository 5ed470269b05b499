"""What a pickle would do and what it holds, found without doing it."""
