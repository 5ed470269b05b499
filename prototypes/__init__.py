"""What was tried beside the library and is no part of it."""
