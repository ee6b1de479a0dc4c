"""What decides: ONNX files and rules, found by name."""

import os

# From 1.29 on, onnxruntime's Linux builds report every session to Microsoft, with the model's name and hashes, unless
# this stands in the environment before the library is loaded. Which policy trades is nobody's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
