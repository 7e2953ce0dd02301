"""What a stranger meets first: the wheel, `make serve`, the images and the compose file."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import trustme
import yaml
from hatchling.build import build_sdist, build_wheel

import caveat
from caveat.models.bundles.store import BUNDLED
from tests.service.serving import TIMEOUT

ROOT = Path(__file__).parents[1]
LINKS = [Path("caveat") / name for name in ("models", "service", "training")]
STAGES = ["serve", "train"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        name = build_wheel(str(folder))
    with zipfile.ZipFile(folder / name) as archive:
        yield archive


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: zipfile.ZipFile) -> None:
    parts = [Path("caveat") / path for path in tree() if path.parts[0] in ("models", "service", "training")]
    own = [path for path in tree() if path.parts[0] == "caveat"]
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == {path.as_posix() for path in parts + own}
    assert {
        f"caveat/models/bundled/digits/1/{name}" for name in ("manifest.json", "predict.onnx", "passes.onnx")
    } <= found


def test_a_wheel_of_the_source_distribution_is_the_same(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        name = build_sdist(str(tmp_path))
        with tarfile.open(tmp_path / name) as archive:
            archive.extractall(tmp_path, filter="data")
        patch.chdir(tmp_path / name.removesuffix(".tar.gz"))
        made = build_wheel(str(tmp_path))
    with zipfile.ZipFile(tmp_path / made) as other:
        assert contents(other) == contents(wheel)


@pytest.mark.parametrize("order", [("caveat", "other"), ("other", "caveat")], ids=" then ".join)
def test_a_project_with_the_same_folders_and_ours_leave_each_other_alone(
    wheel: zipfile.ZipFile, order: tuple[str, str], tmp_path: Path
) -> None:
    """Another project installs packages `models`, `service` and `training`, before ours or after it."""
    wheels = {"caveat": str(wheel.filename), "other": other_project(tmp_path)}
    python = bare_environment(tmp_path / "venv")
    for name in order:
        pip(python, "install", "--no-index", "--no-deps", wheels[name])
    assert told(python, "-m", "caveat", "--version") == f"caveat {caveat.__version__}\n"
    assert told(python, "-c", "import models, service, training; print(models.WHOSE)") == "theirs\n"
    pip(python, "uninstall", "--yes", "other")
    assert told(python, "-m", "caveat", "--version") == f"caveat {caveat.__version__}\n"


@pytest.mark.parametrize("options", [[], ["--editable"]], ids=["install", "editable install"])
def test_an_install_leaves_one_new_name(options: list[str], tmp_path: Path) -> None:
    python = bare_environment(tmp_path / "venv")
    pip(python, "install", "--no-index", "--no-deps", "--no-build-isolation", *options, str(ROOT))
    names = ["caveat", "models", "service", "training", "tests", "benchmarks", "docs"]
    found = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    assert told(python, "-c", found) == "['caveat']\n"
    assert told(python, "-m", "caveat", "--version") == f"caveat {caveat.__version__}\n"


def test_only_the_training_extra_asks_for_torch(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    needs = re.findall(r"^Requires-Dist: (.*)$", wheel.read(name).decode(), re.MULTILINE)
    assert [need for need in needs if re.match(r"torch\b", need)] == ["torch==2.13.0; extra == 'training'"]


@pytest.mark.slow
def test_one_command_serves_a_fresh_clone_without_torch(tmp_path: Path) -> None:
    for path in [*tree(), *LINKS]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path, follow_symlinks=False)
    port = free_port()
    with running(["make", "serve", f"PORT={port}"], port, seconds=300, cwd=tmp_path):
        pass
    assert list((tmp_path / ".venv").glob("lib/*/site-packages/onnxruntime"))
    assert not list((tmp_path / ".venv").glob("lib/*/site-packages/torch"))


def test_the_serving_image_starts_is_healthy_and_stops() -> None:
    image = instructions("serve")
    port = free_port()
    settings = environment(image) | {"CAVEAT_STORE": str(BUNDLED), "CAVEAT_PORT": str(port)}
    check = json.loads(last(image, "HEALTHCHECK").partition(" CMD ")[2])
    check[0] = sys.executable

    assert subprocess.run(check, env=os.environ | settings, capture_output=True).returncode != 0
    with running(command(image), port, env=os.environ | settings) as service:
        assert subprocess.run(check, env=os.environ | settings).returncode == 0
        service.send_signal(signal.SIGTERM)
        assert service.wait(TIMEOUT) == 0


def test_the_serving_image_is_healthy_over_https(tmp_path: Path) -> None:
    image = instructions("serve")
    issued = trustme.CA().issue_cert("caveat.example")
    for name, pem in (("certificate", issued.cert_chain_pems[0]), ("key", issued.private_key_pem)):
        pem.write_to_path(tmp_path / name)
    port = free_port()
    settings = environment(image) | {"CAVEAT_STORE": str(BUNDLED), "CAVEAT_PORT": str(port)}
    settings |= {f"CAVEAT_TLS_{name.upper()}": str(tmp_path / name) for name in ("certificate", "key")}
    check = json.loads(last(image, "HEALTHCHECK").partition(" CMD ")[2])
    check[0] = sys.executable
    with subprocess.Popen(command(image), env=os.environ | settings) as service:
        try:
            deadline = time.monotonic() + TIMEOUT
            while subprocess.run(check, env=os.environ | settings, capture_output=True).returncode != 0:
                assert service.poll() is None
                assert time.monotonic() < deadline
        finally:
            service.terminate()


@pytest.mark.parametrize("stage", STAGES)
def test_images_are_labelled(stage: str) -> None:
    image = instructions(stage)
    labels = dict(
        word.split("=", 1) for found, rest in image if found == "LABEL" for word in shlex.split(rest)
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()} == {
        "title": "caveat" if stage == "serve" else "caveat-train",
        "description": project["description"],
        "version": caveat.__version__,
        "revision": "${REVISION}",
        "created": "${CREATED}",
    }
    assert {"REVISION", "CREATED"} <= {rest.partition("=")[0] for found, rest in image if found == "ARG"}


@pytest.mark.parametrize("stage", ["wheel", "serve-build", "train-build"])
def test_images_install_what_is_locked_with_hashes_but_for_torch(stage: str) -> None:
    runs = [rest for found, rest in instructions(stage) if found == "RUN"]
    installs = re.findall(r"pip (?:--python \S+ )?install .*?(?:&&|$)", "\n".join(runs), re.MULTILINE)
    assert installs
    for install in installs:
        ours = install.strip().endswith("install --no-deps /wheel/*.whl")
        assert ours or "--require-hashes -r locks/" in install or "-r locks/torch.txt" in install


@pytest.mark.slow
def test_the_serving_image_sheds_what_serving_never_opens(
    wheel: zipfile.ZipFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "caveat"
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/*/site-packages")
    install_locked("serving", packages)
    python = str(folder / "bin" / "python")
    pip(python, "install", "--no-index", "--no-deps", str(wheel.filename))

    subprocess.run([sys.executable, ROOT / "docker" / "slim.py", folder], check=True)
    pip(python, "check")
    size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    assert size < 180 * 2**20
    for each in distributions(path=[str(packages)]):
        assert [file for file in each.files or () if not Path(str(file.locate())).exists()] == []
    port = free_port()
    # What isn't there can't be compiled either.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with (
        running([python, "-m", "caveat", "serve", "--port", str(port)], port, cwd="/"),
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        rows = np.zeros((2, 8, 8), np.float32)
        for verb in ("predict", "predict/uncertainty"):
            assert client.post(verb, json={"inputs": rows.tolist()}).status_code == 200
        buffer = io.BytesIO()
        np.save(buffer, rows)
        heads = {"Content-Type": "application/x-npy", "Accept": "application/x-npz"}
        answer = client.post("/predict", content=buffer.getvalue(), headers=heads)
        with np.load(io.BytesIO(answer.content)) as arrays:
            assert len(arrays["label"]) == 2
        page = client.get("/docs").text
        assets = re.findall(r'(?:src|href)="(docs/[^"]+)"', page)
        assert len(assets) >= 2
        for path in (*assets, "openapi.json", "metrics", "models/digits", "models/digits/card"):
            assert client.get(f"/{path}").status_code == 200, path


@pytest.mark.parametrize("stage", STAGES)
def test_images_run_as_one_user_that_is_not_root(stage: str) -> None:
    assert last(instructions(stage), "USER") == "10001:10001"


def test_both_images_keep_their_models_in_one_volume() -> None:
    services = {name: service for name, service in compose().items() if "build" in service}
    assert [service["build"]["target"] for service in services.values()] == STAGES
    for service in services.values():
        image = instructions(service["build"]["target"])
        assert service["volumes"] == [f"store:{environment(image)['CAVEAT_STORE']}"]
    assert services["train"]["profiles"] == ["train"]


def test_compose_publishes_every_port_to_this_machine_alone_unless_told_otherwise() -> None:
    ports = [port for service in compose().values() for port in service.get("ports", ())]
    assert "${CAVEAT_ADDRESS:-127.0.0.1}:8000:8000" in ports
    assert [port for port in ports if not re.match(r"(127\.0\.0\.1|\$\{\w+:-127\.0\.0\.1\}):", port)] == []


def test_no_page_publishes_a_port_to_others_without_keys_and_tls() -> None:
    pages = "\n".join((ROOT / path).read_text() for path in tree() if path.suffix == ".md")
    runs = re.findall(r"^ *(docker run(?:.*\\\n)*.*)", pages, re.MULTILINE)
    ports = [(run, port) for run in runs for port in re.findall(r"(?:--publish|-p)[ =](\S+)", run)]
    assert ports
    for run, port in ports:
        assert port.startswith("127.0.0.1:") or ("CAVEAT_API_KEYS" in run and "CAVEAT_TLS_KEY" in run)


def test_monitoring_is_pinned_reads_files_that_are_there_and_is_for_this_machine_alone() -> None:
    services = {name: service for name, service in compose().items() if "build" not in service}
    assert {tuple(service["profiles"]) for service in services.values()} == {("monitoring",)}
    for service in services.values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        mounts = [volume for volume in service["volumes"] if volume.startswith("./")]
        assert mounts
        for mount in mounts:
            source, _, mode = mount.split(":")
            assert (ROOT / source).exists()
            assert mode == "ro"


def test_every_service_runs_on_a_read_only_root_without_privileges() -> None:
    for service in compose().values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_a_compose_implementation_accepts_the_file() -> None:
    program = next((name for name in ("docker compose", "docker-compose") if answers(name)), None)
    if program is None:
        pytest.skip("no compose implementation on this machine")
    profiles = ["--profile", "train", "--profile", "monitoring"]
    subprocess.run([*program.split(), *profiles, "config", "--quiet"], cwd=ROOT, check=True)


def contents(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Read what a wheel holds; `RECORD` lists it in an order of its own."""
    return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def other_project(folder: Path) -> str:
    """Make the wheel of a project that installs packages named as our folders."""
    path = folder / "other-1-py3-none-any.whl"
    files = {f"{name}/__init__.py": "WHOSE = 'theirs'\n" for name in ("models", "service", "training")}
    files["other-1.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: other\nVersion: 1\n"
    files["other-1.dist-info/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files["other-1.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return str(path)


def bare_environment(folder: Path) -> str:
    """Make an environment that has our dependencies, and not ourselves."""
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/*/site-packages")
    # The path alone: hooks that lie there, such as that of an editable install, are not run.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return str(folder / "bin" / "python")


def install_locked(lock: str, packages: Path) -> None:
    """Copy the packages of a lock from this environment into another one."""
    for name in re.findall(r"^([\w.-]+)==", (ROOT / "locks" / f"{lock}.txt").read_text(), re.MULTILINE):
        try:
            files = distribution(name).files or ()
        except PackageNotFoundError:  # for another platform
            continue
        for file in files:
            if ".." not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), packages / file)


def pip(python: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--python", python, *arguments]
    subprocess.run(command, check=True, capture_output=True)


def told(python: str, *arguments: str) -> str:
    """Run an environment's Python far from our folder, and give what it prints."""
    run = subprocess.run([python, *arguments], cwd="/", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


def compose() -> dict[str, Any]:
    """Read the services of the compose file."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return services


def tree() -> list[Path]:
    """List the files of the working tree, new ones too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [Path(name) for name in names.split("\0") if name and (ROOT / name).is_file()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def running(
    command: list[str], port: int, seconds: float = TIMEOUT, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service in a process group of its own from when it is ready until it is done with."""
    with subprocess.Popen(command, start_new_session=True, **options) as service:
        try:
            deadline = time.monotonic() + seconds
            while not is_ready(port):
                assert service.poll() is None, f"ended with exit code {service.returncode}"
                assert time.monotonic() < deadline, f"not ready after {seconds} s"
                time.sleep(0.1)
            yield service
        finally:
            if service.poll() is None:
                os.killpg(service.pid, signal.SIGKILL)


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def instructions(stage: str) -> list[tuple[str, str]]:
    """Read the instructions that make a stage of the Dockerfile, those of the stages below it first."""
    text = (ROOT / "docker" / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = list(stages.get(base, []))
        elif instruction:
            stages[name].append((instruction, rest.strip()))
    return stages[stage]


def last(image: list[tuple[str, str]], instruction: str) -> str:
    return next(rest for found, rest in reversed(image) if found == instruction)


def environment(image: list[tuple[str, str]]) -> dict[str, str]:
    """Read the settings that an image makes."""
    words = [word for found, rest in image if found == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words if word.startswith("CAVEAT_"))


def command(image: list[tuple[str, str]]) -> list[str]:
    """Read what an image runs, with the `caveat` of this environment."""
    caveat, *arguments = json.loads(last(image, "ENTRYPOINT")) + json.loads(last(image, "CMD"))
    return [str(Path(sys.executable).with_name(caveat)), *arguments]


def answers(program: str) -> bool:
    try:
        return subprocess.run([*program.split(), "version"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
