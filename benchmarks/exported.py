"""Bundles of the networks that several benchmarks measure, exported once into a folder."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from networks import KINDS, made

from caveat.models.bundles import store
from caveat.models.predictor import Predictor
from caveat.training.export.export import export


def exported(name: str, folder: Path) -> Path:
    """Give the bundle of one of the networks, ``<folder>/<name>/store/<name>/1``; export it if it is missing.

    Each bundle has a store of its own, so that a service loads no other.
    """
    model = folder / name / "store" / name
    if not store.versions(model):
        start = time.perf_counter()
        example = KINDS[name].rows(3)
        bundle = export(made(name), example, task="classification", outputs="logits", name=name)
        store.add(model.parent, bundle)
        print(f"exported {name} in {time.perf_counter() - start:.0f} s", flush=True)
    return store.find(model)


def check(predictor: Predictor, name: str) -> None:
    """Stop if a bundle of an earlier run holds another network than the one that PyTorch runs."""
    rows = KINDS[name].rows(2)
    with torch.inference_mode():
        expected = made(name).eval()(rows).softmax(-1).numpy()
    if not np.allclose(predictor.predict(predictor.encode(rows.numpy())), expected, atol=1e-4):
        raise SystemExit(
            f"the bundle of {name} holds another network; delete it, so that it is exported anew"
        )


@contextmanager
def folder_of(kept: Path | None) -> Iterator[Path]:
    """Give the folder of the bundles: one that is kept, or a temporary one."""
    if kept is not None:
        yield kept
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
