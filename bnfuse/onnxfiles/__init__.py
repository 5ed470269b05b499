"""ONNX files: looked at, read with their weights left in place, and written whole or not at all."""
