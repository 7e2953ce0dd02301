"""The limit on what a row takes to compute, where a request chooses its sizes."""

from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs, sizes
from caveat.models.graphs.memory import check_row
from caveat.service.rest.problems import RequestError


def refuse_too_large_rows(manifest: Manifest, inputs: Inputs) -> None:
    """Refuse rows of sizes for which the network would need too much memory.

    Raises
    ------
    RequestError
        413, with the memory that a row would take.
    """
    if chosen := sizes(manifest.inputs, inputs):
        try:
            check_row(manifest, chosen)
        except ValueError as error:
            raise RequestError(413, str(error)) from None
