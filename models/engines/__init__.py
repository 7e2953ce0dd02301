"""The engines that run the graphs of a bundle."""

import os

# As it is imported, ONNX Runtime would leave a file in the temporary folder, and tell its makers of its use.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
