"""Which inputs to run, and further ones for what no sample has reached."""
