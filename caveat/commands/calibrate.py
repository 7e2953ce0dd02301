"""The command ``caveat calibrate``: from a bundle and held-out rows to a version that is calibrated."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg

from caveat.commands.command import READING, Command, say
from caveat.extras import needing
from caveat.models.answers.conformal import Sets
from caveat.models.bundles import store
from caveat.training.data.options import HeldOutOptions

LAYOUT = {
    "model and rows": {"bundle": "BUNDLE", "data": "FILE"},
    "calibration": {"samples": "N", "seed": "N", "sets": None, "by_class": None},
    "reading of the file": READING,
}


class Calibrate(HeldOutOptions, Command):
    """Calibrate a model on rows held out from its training, and write it as a new version.

    Fits what held-out rows decide, such as the temperature of a classification or the noise of a
    regression, and keeps the rows' truths and the answers to them, so that the service can tell calibrated
    probabilities, intervals, prediction sets, percentiles and when to abstain, and a card that shows how
    far to trust it. Rows that the model was trained on would make it promise too much.
    """

    bundle: CliPositionalArg[Path] = Field(description="folder of a bundle, or of a model: its last version")
    data: Path = Field(
        description="held-out rows: .npz with an array for each input (or x for an only one) and y; for named"
        " features a table (.csv, .tsv, .jsonl, .json or .parquet) with their columns and that of the target"
    )
    samples: int = Field(100, ge=2, description="passes behind every answer")
    seed: int = Field(0, ge=0, description="decides what the passes drop")
    sets: Sets = Field(
        "lac",
        description="how prediction sets are made: lac, the smallest on average; aps, larger where it is"
        " hard; raps, aps with shorter tails for many classes",
    )
    by_class: bool = Field(False, description="let sets hold the truth at the asked rate in every class")

    def cli_cmd(self) -> None:
        """Read, calibrate, write, and say what came of it."""
        folder = store.find(self.bundle)
        store.prepare(folder.parent.parent)
        with needing("training"):
            import torch

            from caveat.training.calibrate import calibrate
            from caveat.training.card.card import with_card
            from caveat.training.held_out import read_held_out
            from caveat.training.report import report

        bundle = store.load(folder)
        inputs, y, notes = read_held_out(self.data, bundle.manifest, self)
        say(notes)
        torch.set_num_threads(1)  # what there is to sum up is small, and other threads slow to wake
        calibrated = calibrate(bundle, inputs, y, self.samples, self.seed, self.sets, self.by_class)
        calibrated = with_card(calibrated, inputs, y, self.samples, self.seed)
        print(report(store.add(folder.parent.parent, calibrated), calibrated))
