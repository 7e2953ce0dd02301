"""The command ``caveat evaluate``: how far a bundle can be trusted, on rows whose truth is known."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg

from caveat.commands.command import READING, Command, say
from caveat.extras import needing
from caveat.models.bundles import store
from caveat.models.errors import CaveatError
from caveat.training.data.options import HeldOutOptions

LAYOUT = {
    "model and rows": {"bundle": "BUNDLE", "data": "FILE", "ood": "FILE"},
    "evaluation": {"samples": "N", "seed": "N", "out": "FILE"},
    "reading of the file": READING,
}


class Evaluate(HeldOutOptions, Command):
    """Evaluate a model on rows that it has not seen, print the figures, and write them with plots as a page.

    Monte Carlo dropout stands beside what may do as well: the network without dropout, as it is and with
    its own uncertainty calibrated.
    """

    bundle: CliPositionalArg[Path] = Field(description="folder of a bundle, or of a model: its last version")
    data: Path = Field(
        description="rows that neither trained nor calibrated the model: .npz with an array for each input"
        " (or x for an only one) and y; for named features a table (.csv, .tsv, .jsonl, .json or .parquet)"
        " with their columns and that of the target"
    )
    ood: Path | None = Field(
        None,
        description="rows that are none of the model's business, which its uncertainty should tell: as the"
        " data; truths are not needed",
    )
    samples: int = Field(100, ge=2, description="passes behind every answer")
    seed: int = Field(0, ge=0, description="decides what the passes drop")
    out: Path | None = Field(
        None, description="page to write; unless given, <name>-<version>.html in this folder"
    )

    def cli_cmd(self) -> None:
        """Read, evaluate, print and write."""
        folder = store.find(self.bundle)
        with needing("training"):
            import torch

            from caveat.training.card.card import card
            from caveat.training.evaluation.evaluate import compared, evaluate
            from caveat.training.held_out import read_held_out, read_rows

        torch.set_num_threads(1)  # what there is to sum up is small, and other threads slow to wake
        bundle = store.load(folder)
        manifest = bundle.manifest
        inputs, y, notes = read_held_out(self.data, manifest, self)
        say(notes)
        if len(y) < 2:
            raise CaveatError(f"{self.data}: one row to evaluate on; at least 2 are needed")
        strange = read_rows(self.ood, manifest, self) if self.ood else None
        found = evaluate(bundle, inputs, y, self.samples, self.seed, strange)
        path = self.out or Path(f"{manifest.name}-{manifest.version}.html")
        _write(path, card(found))
        for evaluation in found:
            of = f": {evaluation.target}" if evaluation.target else ""
            print(f"{manifest.name} {manifest.version}, {len(y)} rows, {self.samples} passes{of}")
            if evaluation.familiar:
                print("  (the rows that it was calibrated on: what is calibrated looks better than it is)")
            print("\n".join([*compared(evaluation), ""]))
        print(f"page  {path}")


def _write(path: Path, page: str) -> None:
    """Write a page whole, or not at all."""
    try:
        if path.exists() and not path.is_file():  # such as /dev/stdout
            path.write_text(page, encoding="utf-8")
            return
        scratch = path.with_name(f".{path.name}.incomplete")
        try:
            scratch.write_text(page, encoding="utf-8")
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise CaveatError(f"{path}: can't be written: {error.strerror}") from None
