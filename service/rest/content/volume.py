"""The limit on what a row takes to compute, where a request chooses its sizes."""

from caveat.models.bundles.manifest import Manifest
from caveat.models.bundles.signature import Inputs, sizes
from caveat.models.graphs.memory import LARGEST_ROW, values_held
from caveat.service.rest.problems import RequestError


def refuse_too_large_rows(manifest: Manifest, inputs: Inputs) -> None:
    """Refuse rows for which the network would need more memory than `LARGEST_ROW` values.

    Raises
    ------
    RequestError
        413, with the memory that a row would take.
    """
    chosen = sizes(manifest.inputs, inputs)
    if not chosen:
        return
    held = sum(values_held(manifest, chosen))
    if held > LARGEST_ROW:
        what = " and ".join(f"a {name} of {size}" for name, size in chosen.items())
        raise RequestError(
            413,
            f"rows with {what} take about {held * 4 / 2**20:,.0f} MiB each to compute; the limit is "
            f"{LARGEST_ROW * 4 // 2**20} MiB a row",
        )
