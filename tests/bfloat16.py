"""Which tests this CPU can run of those in bfloat16."""

import openvino
import pytest

HAS_BFLOAT16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

needs_bfloat16 = pytest.mark.skipif(not HAS_BFLOAT16, reason="this CPU does not compute in bfloat16")
