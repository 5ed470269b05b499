"""The checker of proofs: numpy and onnx only, and nothing of the engine that it judges."""
