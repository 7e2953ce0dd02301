import importlib
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from torch import nn

from caveat import commands
from caveat.commands.train import Train
from caveat.models.bundles import store
from caveat.models.bundles.bundle import Bundle
from caveat.models.bundles.signature import encode
from caveat.models.errors import CaveatError, InputError
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor
from caveat.training import run as run_module
from caveat.training import sample
from caveat.training.data.bundled import BUNDLED
from caveat.training.data.dataset import Part, Split, split
from caveat.training.data.read import read
from caveat.training.export.export import export
from caveat.training.fit import Fitted, fit
from caveat.training.objectives.objective import Objective
from caveat.training.options import Options
from caveat.training.recipe import Recipe
from caveat.training.run import Run
from caveat.training.train import train
from caveat.training.vocabulary import NetworkName
from tests.service.serving import serving

train_module = importlib.import_module("caveat.training.train")

QUICK = ("--epochs", "2", "--hidden", "16", "--samples", "10")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caveat", *arguments], capture_output=True, text=True, timeout=120
    )


@cache
def trained(name: str, epochs: int | None = None) -> tuple[Bundle, Split]:
    dataset, options = BUNDLED[name](), Options(epochs=epochs)
    return train(dataset, options), split(dataset, options.test_size, options.seed)


@pytest.mark.slow
def test_digits_are_classified_and_errors_have_high_entropy() -> None:
    bundle, parts = trained("digits")
    metrics = bundle.manifest.metrics
    assert metrics["accuracy"] >= 0.97
    assert metrics["deterministic_accuracy"] >= 0.97
    assert metrics["error_auroc"] >= 0.85
    assert metrics["log_loss"] < 0.12
    probabilities = Predictor(bundle, threads=1).predict({"image": parts.test.x})
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == parts.test.y).mean() == metrics["deterministic_accuracy"]


@pytest.mark.slow
def test_diabetes_is_predicted_in_its_own_units() -> None:
    bundle, parts = trained("diabetes")
    metrics = bundle.manifest.metrics
    assert metrics["rmse"] < 60
    raw = Predictor(bundle, threads=1).predict({"patient": parts.test.x})
    assert np.sqrt(np.mean((raw - parts.test.y) ** 2)) == pytest.approx(metrics["deterministic_rmse"])
    # A normal distribution with the mean and spread of all patients is worse.
    spread = parts.train.y.std()
    distance = parts.test.y - parts.train.y.mean()
    blind = -0.5 * (np.log(2 * np.pi * spread**2) + (distance / spread) ** 2)
    assert metrics["log_likelihood"] > blind.mean()


@pytest.mark.slow
def test_the_noise_accounts_for_the_residuals() -> None:
    bundle, parts = trained("diabetes")
    answer = estimate(Predictor(bundle, threads=1), {"patient": parts.test.x}, 100, 0)
    score = (parts.test.y - answer["mean"]) / np.sqrt(answer["variance"])
    assert 0.7 < score.std() < 1.4


@pytest.mark.slow
def test_the_more_likely_kind_of_noise_is_kept() -> None:
    """The noise of diabetes grows with the target, so that predicted noise wins, of most divisions."""
    bundle = train(BUNDLED["diabetes"](), Options(seed=2))
    assert bundle.manifest.outputs == "mean_variance"
    alone = train(BUNDLED["diabetes"](), Options(seed=2, noise="predicted"))
    assert alone.manifest.digest == bundle.manifest.digest


def test_a_constant_noise_is_stated() -> None:
    manifest = train(BUNDLED["diabetes"](), Options(noise="constant", epochs=20)).manifest
    assert manifest.outputs == "mean"
    assert isinstance(manifest.noise_variance, float)
    assert manifest.noise_variance > 0


@pytest.mark.slow
def test_noise_that_depends_on_a_feature_is_recovered(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(2000, 2))
    deviation = 10 * np.exp(x[:, 1])
    np.savez(tmp_path / "fan.npz", x=x, y=500 + 50 * x[:, 0] + deviation * generator.standard_normal(2000))
    bundle = train(read(tmp_path / "fan.npz", None, "regression"), Options(epochs=30))
    edge = np.array([[0, -0.8], [0, 0.0], [0, 0.8]], np.float32)
    answer = estimate(Predictor(bundle, threads=1), {"x": edge}, 100, 0)
    expected = 10 * np.exp(edge[:, 1])
    np.testing.assert_allclose(np.sqrt(answer["variance"]), expected, rtol=0.25)
    assert (answer["epistemic_variance"] < answer["aleatoric_variance"]).all()


def houses(folder: Path, rows: int) -> Path:
    """Write a table of two targets: the noise of price grows with area, that of rent does not."""
    generator = np.random.default_rng(0)
    area, rooms = generator.uniform(-1, 1, size=(2, rows))
    price = 2e5 + 5e4 * area + 1e4 * np.exp(area) * generator.standard_normal(rows)
    rent = 10 + 2 * rooms + 0.5 * generator.standard_normal(rows)
    frame = pl.DataFrame({"area": area, "price": price, "rooms": rooms, "rent": rent})
    frame.write_csv(folder / "houses.csv")
    return folder / "houses.csv"


@pytest.mark.slow
def test_two_targets_and_their_noise_are_recovered(tmp_path: Path) -> None:
    """Each target is compared with the known distribution of the simulated rows."""
    path = houses(tmp_path, 4000)
    flags = ["--target", "price,rent", "--noise", "predicted", "--epochs", "30"]
    flags += ["--hidden", "64,64", "--batch-size", "64", "--out", str(tmp_path)]
    assert commands.main(["train", "--data", str(path), *flags]) == 0
    bundle = store.load(tmp_path / "houses" / "1")
    assert (bundle.manifest.target, bundle.manifest.targets) == (None, ("price", "rent"))
    assert bundle.manifest.output == ("rows", 2, 2)
    errors = bundle.manifest.metrics
    assert errors["rmse[price]"] == pytest.approx(1e4 * np.sqrt(np.sinh(2) / 2), rel=0.12)
    assert errors["rmse[rent]"] == pytest.approx(0.5, rel=0.12)
    assert bundle.manifest.calibration is not None
    assert bundle.manifest.calibration.rows == 800

    predictor = Predictor(bundle, threads=1)
    generator = np.random.default_rng(1)
    x = generator.uniform(-1, 1, size=(2000, 2))
    means = np.stack([2e5 + 5e4 * x[:, 0], 10 + 2 * x[:, 1]], axis=1)
    deviations = np.stack([1e4 * np.exp(x[:, 0]), np.full(2000, 0.5)], axis=1)
    truth = means + deviations * generator.standard_normal((2000, 2))
    answer = estimate(predictor, {"features": x}, 100, 0)
    scaled = (answer["mean"] - means) / deviations
    assert (np.sqrt((scaled**2).mean(axis=0)) < 0.25).all()
    ratio = np.median(np.sqrt(answer["aleatoric_variance"]) / deviations, axis=0)
    np.testing.assert_allclose(ratio, 1, rtol=0.25)
    squares = ((truth - answer["mean"]) ** 2 / answer["variance"]).mean(axis=0)
    np.testing.assert_allclose(squares, 1, rtol=0.2)  # of 640 rows that the noise is fitted on
    by_row = np.log(answer["aleatoric_variance"][:, 0])
    assert np.corrcoef(by_row, x[:, 0])[0, 1] > 0.8
    np.testing.assert_array_equal(
        answer["variance"], answer["epistemic_variance"] + answer["aleatoric_variance"]
    )
    assert predictor.calibration is not None
    low, high = np.moveaxis(predictor.calibration.region(answer, 0.9), -1, 0)
    held = ((low <= truth) & (truth <= high)).sum(axis=0)
    k = int(np.ceil(401 * 0.9 - 1e-9))
    law = stats.betabinom(2000, k, 401 - k)
    assert ((law.ppf(1e-4) <= held) & (held <= law.ppf(1 - 1e-4))).all()

    rows = [{"area": area, "rooms": rooms} for area, rooms in x[:3].tolist()]
    with serving(tmp_path) as service:
        told = service.ask("/predict/uncertainty", inputs=rows, coverage=0.9).json()
        assert service.get("/models/houses").json()["targets"] == ["price", "rent"]
    for name in ("mean", "variance", "epistemic_variance", "aleatoric_variance", "percentile"):
        np.testing.assert_array_equal(told[name], answer[name][:3], name)
    np.testing.assert_array_equal(told["interval"], np.stack([low, high], axis=-1)[:3])


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mlp", "gru"])
def test_a_constant_noise_is_stated_for_each_target(network: NetworkName, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 4, 2))
    y = np.stack([1000 * x[:, 0, 0], 0.01 * x[:, 1, 1]], axis=1)
    y += generator.normal(size=y.shape) * [300, 0.001]
    np.savez(tmp_path / "a.npz", x=x, y=y)
    options = Options(network=network, noise="constant", epochs=15, hidden=(32,))
    bundle = train(read(tmp_path / "a.npz", None, None), options)
    assert bundle.manifest.output == ("rows", 2)
    assert bundle.manifest.targets == ("y0", "y1")
    assert isinstance(bundle.manifest.noise_variance, tuple)
    assert 100**2 < bundle.manifest.noise_variance[0] < 1000**2
    assert 0 < bundle.manifest.noise_variance[1] < 0.01**2
    answer = estimate(Predictor(bundle, threads=1), {"x": x.astype(np.float32)}, 100, 0)
    assert answer["mean"].shape == answer["percentile"].shape == (300, 2)
    assert (np.diag(np.corrcoef(answer["mean"].T, y.T)[:2, 2:]) > 0.5).all()


def test_the_manifest_says_where_the_model_comes_from() -> None:
    manifest = trained("digits", epochs=2)[0].manifest
    assert manifest.classes == tuple("0123456789")
    assert [(site.kind, site.rate, site.shape) for site in manifest.sites] == [
        ("dropout", 0.5, ("passes", 1, 128))
    ]
    assert manifest.provenance.seed == Options().seed
    assert manifest.provenance.hyperparameters["hidden"] == [128]
    assert manifest.provenance.data["sha256"] == BUNDLED["digits"]().digest
    assert sum(manifest.provenance.data["rows"].values()) == 1797
    assert manifest.provenance.libraries["torch"].startswith("2.")


@pytest.mark.parametrize("name", ["digits", pytest.param("diabetes", marks=pytest.mark.slow)])
def test_the_example_is_a_request_of_held_out_rows(name: str) -> None:
    bundle, parts = trained(name, epochs=2)
    written = json.loads(bundle.manifest.model_dump_json())["example"]
    (rows,) = encode(bundle.manifest.inputs, written).values()
    np.testing.assert_array_equal(rows, parts.test.x[:2])


def test_a_table_with_categories_from_file_to_answer(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    city = generator.choice(["bern", "oslo", "rome"], size=400)
    member = generator.random(400) < 0.5
    born = 1_700_000_000 + generator.integers(0, 100, size=400)
    price = 1000 + 50 * (city == "oslo") - 30 * member + (born - 1_700_000_000)
    frame = pl.DataFrame({"city": city, "member": member, "born": born, "price": price})
    frame.write_csv(tmp_path / "Flats (2024).csv")
    data = str(tmp_path / "Flats (2024).csv")
    flags = ("--target", "price", "--lr", "0.01", "--noise", "constant", "--out", str(tmp_path))
    assert commands.main(["train", "--data", data, *flags]) == 0
    bundle = store.load(tmp_path / "flats-2024" / "1")
    assert bundle.manifest.task == "regression"
    assert bundle.manifest.metrics["rmse"] < 8  # the target's standard deviation is about 40
    rows = [{"city": "oslo", "member": member, "born": 1_700_000_050} for member in (True, "false")]
    assert isinstance(bundle.manifest.example, list)
    assert len(bundle.manifest.example) == 1
    assert bundle.manifest.example[0].keys() == rows[0].keys()
    assert bundle.manifest.example[0]["born"] == pytest.approx(np.median(born), abs=10)
    found = Predictor(bundle, threads=1).predict(encode(bundle.manifest.inputs, rows))
    np.testing.assert_allclose(found, [1070, 1100], atol=12)
    with pytest.raises(
        InputError, match=r'inputs\[0\]\.city: expected one of "bern", "oslo", "rome", got "paris"'
    ):
        encode(bundle.manifest.inputs, [{**rows[0], "city": "paris"}])


def test_arrays_of_any_shape_and_dropout_on_the_input(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(200, 3, 5))
    np.savez(tmp_path / "waves.npz", x=x, y=np.where(x[:, 0, 0] > 0, "up", "down"))
    Train(
        data=tmp_path / "waves.npz", out=tmp_path, name="w", hidden=(16, 8), dropout=(0.1, 0.2, 0.3), epochs=1
    ).cli_cmd()
    manifest = store.load(tmp_path / "w" / "1").manifest
    assert manifest.inputs[0].shape == ("rows", 3, 5)
    assert manifest.example == np.zeros((1, 3, 5)).tolist()
    assert manifest.classes == ("down", "up")
    assert [(site.rate, site.shape[2:]) for site in manifest.sites] == [
        (0.1, (15,)),
        (0.2, (16,)),
        (0.3, (8,)),
    ]


@pytest.mark.slow
def test_a_cnn_learns_images() -> None:
    bundle = train(BUNDLED["digits"](), Options(network="cnn", epochs=12))
    assert bundle.manifest.metrics["accuracy"] >= 0.97
    assert [(site.rate, site.shape) for site in bundle.manifest.sites] == [
        (0.2, ("passes", 1, 32, 1, 1)),
        (0.2, ("passes", 1, 64, 1, 1)),
    ]
    assert bundle.manifest.inputs[0].shape == ("rows", 8, 8)
    assert bundle.manifest.provenance.hyperparameters["network"] == "cnn"
    assert bundle.manifest.provenance.hyperparameters["hidden"] == [32, 64]


def ramps(rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Make noisy sequences that rise or fall, which only the order of their steps shows."""
    generator = np.random.default_rng(length)
    up = generator.random(rows) < 0.5
    sign = np.where(up, 1, -1)[:, None]
    x = sign * np.linspace(-1, 1, length) + generator.normal(scale=0.5, size=(rows, length))
    return x[..., None].astype(np.float32), np.where(up, "up", "down")


@pytest.mark.slow
@pytest.mark.parametrize("network", ["lstm", "gru", "transformer"])
def test_sequences_are_learned_by_their_order_and_served_at_any_length(
    network: NetworkName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = ramps(rows=300, length=12)
    np.savez(tmp_path / "ramps.npz", x=x, y=y)
    exported: list[nn.Module] = []

    def noted(module: nn.Module, *arguments: Any, **options: Any) -> Bundle:
        exported.append(module)
        return export(module, *arguments, **options)

    monkeypatch.setattr("caveat.training.run.export", noted)
    Train(
        data=tmp_path / "ramps.npz",
        out=tmp_path,
        network=network,
        hidden=(16,),
        dropout=(0.1, 0.1),
        epochs=15,
        lr=0.01,
        samples=20,
    ).cli_cmd()
    bundle = store.load(tmp_path / "ramps" / "1")
    assert bundle.manifest.metrics["accuracy"] >= 0.95
    assert bundle.manifest.inputs[0].shape == ("rows", "length", 1)
    assert len(encode(bundle.manifest.inputs, bundle.manifest.example)["x"]) == 1
    predictor = Predictor(bundle, threads=1)
    for length in (1, 9, 12, 20):
        rows, labels = ramps(rows=100, length=length)
        answer = predictor.predict({"x": rows})
        with torch.no_grad():
            np.testing.assert_allclose(answer, exported[0](torch.from_numpy(rows)), atol=1e-5)
        columns = estimate(predictor, {"x": rows}, 20, seed=0)
        assert (columns["variance"] > 0).all()
        if length > 1:
            assert (np.array(bundle.manifest.classes)[columns["label"]] == labels).mean() >= 0.8


@pytest.mark.slow
def test_values_are_learned_from_sequences(tmp_path: Path) -> None:
    """The value is the time of a pulse, which only the order of the steps shows."""
    generator = np.random.default_rng(0)
    when = generator.integers(0, 24, size=300)
    x = generator.normal(scale=0.1, size=(300, 24, 1))
    x[np.arange(300), when] += 1
    np.savez(tmp_path / "pulses.npz", x=x, y=when / 2)
    dataset = read(tmp_path / "pulses.npz", None, "regression")
    bundle = train(dataset, Options(network="lstm", hidden=(16,), epochs=40, lr=0.01, samples=20))
    assert bundle.manifest.metrics["rmse"] < 1  # the target's standard deviation is 3.6


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        ("cnn", (64,), r"--network cnn takes rows of rank 2 or 3, .*; these have shape \(64,\)"),
        (
            "cnn",
            (1, 2, 8, 8),
            r"--network cnn takes rows of rank 2 or 3, .*; these have shape \(1, 2, 8, 8\)",
        ),
        ("cnn", (28, 28, 3), "images of 28 x 3 pixels are too small for 2 convolutions.*channels first"),
        ("lstm", (8,), r"--network lstm takes rows of rank 2, \(length, features\); these have shape \(8,\)"),
        ("gru", (3, 8, 8), r"--network gru takes rows of rank 2, .*; these have shape \(3, 8, 8\)"),
        ("transformer", (8,), r"--network transformer takes rows of rank 2, .*; these have shape \(8,\)"),
    ],
)
def test_rows_that_do_not_fit_the_network_are_refused(
    network: NetworkName, shape: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((30, *shape)), y=np.arange(30) % 2)
    with pytest.raises(CaveatError, match=message):
        Train(data=tmp_path / "a.npz", network=network, out=tmp_path).cli_cmd()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name a bundled data set"),
        ({"dataset": "digits", "data": Path("a.csv")}, "one of the two"),
        (
            {"dataset": "digits", "target": ("digit",)},
            "goes with --data; a bundled data set has its own columns",
        ),
        (
            {"dataset": "digits", "task": "regression"},
            "goes with --data; a bundled data set has its own columns",
        ),
        ({"dataset": "digits", "dropout": (0.0, 0.0)}, "--dropout is 0 everywhere"),
        ({"dataset": "digits", "dropout": (1.0,)}, "less than 1"),
        ({"dataset": "digits", "hidden": (0,)}, "greater than or equal to 1"),
        ({"dataset": "digits", "name": "Digits!"}, "String should match pattern"),
        ({"dataset": "digits", "network": "rnn"}, "'mlp', 'cnn', 'lstm', 'gru' or 'transformer'"),
        ({"dataset": "iris"}, "'digits' or 'diabetes'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Train.model_validate(options)


@pytest.mark.parametrize("name", ["file", "file/store"])
def test_a_store_that_cannot_be_written_is_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").touch()
    assert commands.main(["train", "digits", "--out", str(tmp_path / name)]) == 1
    errors = capsys.readouterr().err
    assert f"{tmp_path / name}: can't write a bundle into this folder: " in errors
    assert errors.count("\n") == 1


def test_a_wrong_number_of_rates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaveatError, match="2 dropout rates for 2 hidden layers; expected 1, or 3"):
        Train(dataset="digits", hidden=(8, 8), dropout=(0.1, 0.2), out=tmp_path).cli_cmd()


def test_a_classification_has_no_noise_to_choose() -> None:
    with pytest.raises(CaveatError, match="--noise predicted goes with a regression; digits holds classes"):
        train(BUNDLED["digits"](), Options(noise="predicted"))


def test_data_whose_file_name_makes_no_model_name_need_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "数.npz", x=np.random.default_rng(0).normal(size=(30, 2)), y=np.arange(30) % 2)
    with pytest.raises(CaveatError, match="makes no name for a model; give one with --name"):
        Train(data=tmp_path / "数.npz", out=tmp_path).cli_cmd()


@pytest.mark.slow
def test_the_command_writes_a_bundle_and_says_what_is_next(tmp_path: Path) -> None:
    """Two runs in fresh processes with the same seed give the same bytes, as versions 1 and 2."""
    results = [run("train", "digits", *QUICK, "--out", str(tmp_path)) for _ in range(2)]
    for version, result in enumerate(results, start=1):
        assert result.returncode == 0, result.stderr
        folder = tmp_path / "digits" / str(version)
        bundle = store.load(folder)
        assert f"digest  {bundle.manifest.digest}" in result.stdout
        assert f"caveat inspect {folder}\n" in result.stdout
        assert f"caveat serve {tmp_path}\n" in result.stdout
        assert re.search(r"accuracy +0\.\d+", result.stdout)
        assert re.fullmatch(
            r"training: at most 2 epochs of 41 steps, about .* if none is spared\n", result.stderr
        )
    first, second = (store.load(tmp_path / "digits" / version) for version in ("1", "2"))
    assert first.files == second.files
    assert first.manifest.digest == second.manifest.digest


@pytest.mark.slow
def test_a_target_of_seconds_since_1970_keeps_its_digits(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(300, 2))
    np.savez(tmp_path / "times.npz", x=x, y=1_700_000_000 + x[:, 0])
    Train(data=tmp_path / "times.npz", out=tmp_path, task="regression", lr=0.01, epochs=60).cli_cmd()
    bundle = store.load(tmp_path / "times" / "1")
    assert bundle.manifest.metrics["rmse"] < 0.3  # the target's standard deviation is 1
    rows = {"x": x[:50].astype(np.float32)}
    answer = estimate(Predictor(bundle, threads=1), rows, samples=100, seed=0)
    np.testing.assert_allclose(answer["mean"], 1_700_000_000 + x[:50, 0], rtol=0, atol=1)
    assert (answer["epistemic_variance"] < 1).all()


def test_mistakes_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("u,v\n" + "2026-03-01,a\n2026-03-02,b\n" * 20)
    assert commands.main(["train", "--data", str(path), "--target", "v"]) == 1
    assert capsys.readouterr().err == (
        f"caveat train: {path}: column 'u': holds dates or times, such as '2026-03-01'; --categorical u "
        "takes them for texts. To go on, add --dates u\n"
    )


def test_of_many_rows_some_choose_the_noise_and_all_train_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With limits of 50 and 100 rows in place of 10,000 and more."""
    for module in (sample, run_module, train_module):
        for name in ("MOST_CHOOSING", "MOST_EVALUATED", "_MANY"):
            monkeypatch.setattr(module, name, 100 if name == "_MANY" else 50, raising=False)
    fitted: list[tuple[int, int, Recipe]] = []

    def fit_and_count(network: nn.Module, part: Part, few: Part, aim: Objective, *others: Any) -> Fitted:
        fitted.append((len(part), len(few), others[0]))
        return fit(network, part, few, aim, *others)

    monkeypatch.setattr(run_module, "fit", fit_and_count)
    monkeypatch.setattr(Run, "quality", lambda run, bundle: float(bundle.manifest.outputs == "mean_variance"))
    steps: list[tuple[str, int, int]] = []
    said: list[str] = []
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(400, 2))
    np.savez(
        tmp_path / "fan.npz", x=x, y=50 * x[:, 0] + 10 * np.exp(2 * x[:, 1]) * generator.normal(size=400)
    )
    dataset = read(tmp_path / "fan.npz", None, "regression")
    options = Options(epochs=60, hidden=(8,), samples=20)
    manifest = train(dataset, options, lambda *step: steps.append(step), said.append).manifest
    assert [counts[:2] for counts in fitted] == [(50, 12), (50, 12), (256, 64)]
    assert [counts[2].epochs for counts in fitted] == [40, 40, 60]
    assert manifest.outputs == "mean_variance"
    assert manifest.provenance.data["rows"] == {"train": 256, "validation": 64, "test": 80}
    assert manifest.provenance.data["evaluated_rows"] == 50
    assert manifest.calibration is not None
    assert manifest.calibration.rows == 50
    (line,) = said
    assert line.startswith("training: at most 60 epochs of 8 steps, about ")
    assert [name for name, number, _ in steps if name and not number][-3:] == [
        "measure",
        "calibrate",
        "write the card",
    ]


def test_the_manifest_says_what_was_really_used() -> None:
    found = trained("diabetes", epochs=4)[0].manifest.provenance.hyperparameters
    assert (found["epochs"], found["batch_size"], found["patience"], found["lr"]) == (4, 32, 1, 5e-3)
    assert found["annealed"]
    assert 1 <= found["epoch_kept"] <= found["epochs_run"] <= 4
    assert found["processor"] == "1 thread"


def test_the_callers_threads_are_restored() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        train(BUNDLED["diabetes"](), Options(epochs=1, noise="constant", samples=5))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
