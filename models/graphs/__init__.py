"""What an ONNX file holds, read before any engine reads it."""
