"""ONNX files: checked before any engine reads them, sized, and rewritten."""
