"""ONNX files: checked before any engine reads them, and sized."""
