"""What a file may import, what importing would run, and who agreed to it."""
