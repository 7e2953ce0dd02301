from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from caveat.commands import main
from caveat.models.bundles import store
from caveat.models.bundles.manifest import Manifest
from caveat.models.estimates.answer import estimate
from caveat.models.predictor import Predictor

SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.early = nn.Dropout(0.3)
        self.hidden = nn.Linear(width, width)
        self.late = nn.Dropout(0.2)
        self.head = nn.Linear(width, 2)

    def forward(self, tokens):
        hidden = torch.relu(self.hidden(self.early(self.embed(tokens)).mean(1)))
        return self.head(self.late(hidden))


class Short(Net):
    def forward(self, tokens):
        return super().forward(tokens[:, -12:] if tokens.shape[1] > 12 else tokens)


class Even(Net):
    def forward(self, tokens):
        return super().forward(tokens[:, 1:] if tokens.shape[1] % 2 else tokens)


class Cut(nn.Module):
    def forward(self, tokens):
        return tokens.clamp(max=9)


class Two(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 2))


class Bare(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


def text():
    return "no network"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of a user: a module, weights in both formats, an example, held-out rows."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "fraud.py").write_text(SOURCE)
    random = np.random.default_rng(0)
    np.savez(folder / "example.npz", tokens=random.integers(0, 20, (6, 5)))
    np.savez(
        folder / "held_out.npz", tokens=random.integers(0, 20, (30, 5)), y=random.choice(["ok", "bad"], 30)
    )
    np.save(folder / "values.npy", random.random((4, 3), np.float32))
    np.savez(folder / "two.npz", x=random.random((30, 3), np.float32), y=random.random((30, 2)))
    scope: dict[str, type[torch.nn.Module]] = {}
    exec(SOURCE, scope)
    torch.manual_seed(0)
    state = scope["Net"]().state_dict()
    torch.save(state, folder / "weights.pt")
    torch.save({"state_dict": state, "epoch": 3}, folder / "checkpoint.pt")
    torch.save({f"module.{name}": value for name, value in state.items()}, folder / "parallel.pt")
    save_file(state, folder / "weights.safetensors")
    torch.save(scope["Net"](4).state_dict(), folder / "narrow.pt")
    torch.save({"path": folder}, folder / "pickled.pt")
    return folder


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    monkeypatch.chdir(home)

    def export(*arguments: str, factory: str = "fraud:Net", **options: str) -> int:
        options = {
            "example": "example.npz",
            "task": "classification",
            "outputs": "logits",
            "name": "fraud",
            "out": str(tmp_path),
            **options,
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return main(["export", factory, *flags, *arguments])

    return export


def written(folder: Path) -> Manifest:
    return store.load(store.find(folder / "fraud")).manifest


def test_weights_of_every_format_make_the_same_bundle(run: Callable[..., int], tmp_path: Path) -> None:
    for weights in ("weights.pt", "checkpoint.pt", "parallel.pt", "weights.safetensors"):
        assert run(weights=weights) == 0
    digests = {store.load(folder).manifest.digest for folder in store.bundle_folders(tmp_path)}
    assert len(digests) == 1
    assert store.versions(tmp_path / "fraud") == [1, 2, 3, 4]


def test_where_a_checkpoint_holds_the_weights_is_said_or_asked_for(
    run: Callable[..., int], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(weights="checkpoint.pt") == 0
    assert "the weights are those of checkpoint.pt under state_dict" in capsys.readouterr().err
    state = torch.load(home / "weights.pt")
    averaged = {name: value / 2 for name, value in state.items()}
    torch.save({"model": state, "model_ema": averaged}, home / "both.pt")
    assert run(weights="both.pt") == 1
    assert "under model, model_ema; say which to take" in capsys.readouterr().err
    assert run("--weights-key", "model_ema", weights="both.pt") == 0
    assert "under model_ema" in capsys.readouterr().err


def test_an_exported_network_is_served(run: Callable[..., int], tmp_path: Path) -> None:
    assert (
        run(weights="weights.pt", free="tokens.1=length", classes="ok,bad", calibration="held_out.npz") == 0
    )
    bundle = store.load(store.find(tmp_path / "fraud"))
    assert bundle.manifest.classes == ("ok", "bad")
    assert bundle.manifest.inputs[0].below == 20
    assert {"accuracy", "log_loss"} <= set(bundle.manifest.metrics)
    for length in (1, 5, 9):
        tokens = bundle.manifest.inputs[0].encode([[3] * length, [4] * length])
        answer = estimate(Predictor(bundle), {"tokens": tokens}, 50, seed=0)
        np.testing.assert_allclose(answer["mean"].sum(axis=1), 1, rtol=1e-5)
        assert (answer["variance"] > 0).all()


def test_the_example_is_made_up_or_kept(run: Callable[..., int], home: Path, tmp_path: Path) -> None:
    rows = np.load(home / "example.npz")["tokens"]
    assert run() == 0
    made_up = written(tmp_path).example
    assert run("--example-rows", "keep") == 0
    assert written(tmp_path).example == rows[:2].tolist()
    assert isinstance(made_up, list)
    assert not any(row in rows.tolist() for row in made_up)


def test_sizes_that_a_branch_allows_are_said(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(factory="fraud:Short", free="tokens.1=length") == 0
    assert "takes rows with a length from 1 to 12\n" in capsys.readouterr().out
    assert run(factory="fraud:Even", free="tokens.1=length") == 1
    assert 'fraud.py", line ' in capsys.readouterr().err


def test_sites_and_rates_can_be_chosen_with_a_warning(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--sites", "last", "--rate", "late=0.4") == 0
    assert [(site.name, site.rate) for site in written(tmp_path).sites] == [("late", 0.4)]
    assert "not trained with late at rate 0.4" in capsys.readouterr().err


def test_dropout_can_be_inserted_into_a_network_without_dropout(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"factory": "fraud:Bare", "example": "values.npy", "task": "regression", "outputs": "mean"}
    assert run(**options) == 1
    assert "--insert relu:0.1" in capsys.readouterr().err
    assert run("--insert", "relu:0.1", **options) == 0
    assert [site.rate for site in written(tmp_path).sites] == [0.1]
    assert "was not trained with" in capsys.readouterr().err


def test_several_targets_are_named_measured_and_calibrated(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"factory": "fraud:Two", "example": "values.npy", "task": "regression", "outputs": "mean"}
    assert run("--targets", "price,rent", calibration="two.npz", **options) == 0
    manifest = written(tmp_path)
    assert manifest.targets == ("price", "rent")
    assert {"rmse[price]", "rmse[rent]", "log_likelihood"} <= set(manifest.metrics)
    assert isinstance(manifest.noise_variance, tuple)
    noises = ", ".join(f"{noise:.4g}" for noise in manifest.noise_variance)
    told = capsys.readouterr().out
    assert f"calibrated on 30 rows, noise variance {noises}\n" in told
    assert f"  deterministic_rmse[price]  {manifest.metrics['deterministic_rmse[price]']:.4g}\n" in told
    held_out = str(Path.cwd() / "two.npz")
    assert main(["calibrate", str(tmp_path / "fraud"), "--data", held_out]) == 0
    assert written(tmp_path).noise_variance == pytest.approx(manifest.noise_variance)


def test_preprocessing_is_inside_the_graphs(run: Callable[..., int], tmp_path: Path) -> None:
    assert run(weights="weights.pt", preprocess="fraud:Cut") == 0
    predictor = Predictor(store.load(store.find(tmp_path / "fraud")))
    high, cut = (np.full((1, 5), token) for token in (15, 9))
    np.testing.assert_array_equal(predictor.predict({"tokens": high}), predictor.predict({"tokens": cut}))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([], {"factory": "fraud"}, "FACTORY: 'fraud' should be module:name, such as package.module:factory"),
        ([], {"factory": "absent:Net"}, "No module named 'absent'; looked from"),
        ([], {"factory": "fraud:Missing"}, "fraud has no 'Missing'"),
        ([], {"factory": "fraud:text"}, "fraud:text made a str; expected a torch.nn.Module"),
        ([], {"weights": "absent.pt"}, "--weights absent.pt: no such file"),
        ([], {"weights": "narrow.pt"}, "embed.weight has shape (20, 4), the network's has (20, 8)"),
        ([], {"weights": "pickled.pt"}, "Save the weights alone: torch.save(network.state_dict(), ...)"),
        ([], {"example": "absent.npy"}, "absent.npy"),
        ([], {"example": "values.npy"}, "does not run on the example of shape (4, 3)"),
        ([], {"free": "tokens=length"}, "--free tokens=length: expected input.axis=name, such as x.1=length"),
        (["--rate", "late"], {}, "'late': expected a name and a rate, such as --rate head.drop=0.2"),
        (
            ["--rate", "absent=0.1"],
            {},
            "--rate absent: no dropout of the network has that name; it has early, late",
        ),
        (
            [],
            {"calibration": "example.npz"},
            "example.npz: has the arrays tokens; expected tokens and y",
        ),
        ([], {"calibration": "held_out.npz"}, "held_out.npz: y holds bad, ok; the classes are 0, 1"),
        ([], {"outputs": "mean"}, "--outputs mean is not what a classification answers with"),
        ([], {"outputs": "probabilities"}, "the outputs are not probabilities"),
    ],
)
def test_mistakes_are_refused_with_a_line_that_says_what_to_change(
    run: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    options: dict[str, str],
    message: str,
) -> None:
    assert run(*arguments, **options) in (1, 2)
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
