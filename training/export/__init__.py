"""From a PyTorch network with dropout to a bundle whose dropout masks are inputs of the graph."""

from caveat.training.export.errors import ExportError
from caveat.training.export.export import export

__all__ = ["ExportError", "export"]
