"""ONNX Runtime as it is: sessions, providers, float types, measured errors, the models it runs."""
