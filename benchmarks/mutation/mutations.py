"""Makes mutants of sound bundles: changes of the manifest, the graphs, the arrays and the files, by a seed.

Digests and sizes in the manifest are put right after most changes, so that a mutant gets past their check.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from caveat.models.bundles.aliases import FILE as ALIASES
from caveat.models.bundles.bundle import CARD, MANIFEST, PASSES, PREDICT, WEIGHTS, Bundle
from caveat.models.bundles.manifest import EXAMPLE
from caveat.models.tasks.calibration_file import FILE as CALIBRATION
from mutation import grafts, graph_fields, odd_arrays, odd_files
from mutation.grafts import INTEGERS
from mutation.mutant import Mutant

GRAPHS = (PREDICT, PASSES)

_DEEP = 100_000

ODD: tuple[Any, ...] = (
    *(None, True, False, "", "a", "rows", "passes", "length", "n" * 10_000, [], {}, [[]], {"a": 1}),
    *(*INTEGERS, 2**63, 2**64, -(2**63) - 1, 10**30, 10**300, 0.5, -0.5, 1e308, 5e-324, 1e-30),
    *("9**9**9", "2*length", "length//0", "length % 0", "-length", "(" * 500, "length*" * 500 + "1", "0-1"),
    *("0", "length*length*length*length", "10**30", "\0", "../..", "\ud800", "\u202e", "NaN", "float64"),
    *("regression", "classification", "probabilities", "mean_variance", "keep", "uniform", "normal"),
)
"""Values for a field of the manifest."""

NAMES = (
    *("../1/manifest.json", "/etc/hostname", "a/b", "", ".", "nul\0", "x" * 300, "Predict.onnx"),
    MANIFEST,
)
"""Names of files that no manifest should list."""

ALIAS_TEXTS = (
    *(b"", b"{", b'{"champion": 1}', b'{"champion": 9}', b'{"1": 1}', b'{"champion": -1}', b'{"a": 1e999}'),
    *(b"[" * _DEEP, b'{"a":' * _DEEP, b'{"champion": 1' + b"0" * _DEEP + b"}", b'{"champion": 1}' * 2),
    json.dumps({f"alias-{number}": 1 for number in range(20_000)}).encode(),
)
"""Contents of a file of aliases."""


def mutant(seed: int, number: int, bundles: Sequence[Bundle]) -> Mutant:
    """Make a mutant of one of the bundles."""
    decides = Random(f"{seed} {number}")
    bundle = bundles[number % len(bundles)]
    manifest = json.loads(bundle.manifest.model_dump_json())
    files = {name: bytes(content) for name, content in bundle.files.items()}
    made = Mutant(number, manifest, files, [bundle.manifest.name])
    manifest.update(name=made.name, version=1)
    made.seal()
    ways = tuple(WAYS)
    for _ in range(decides.choice((1, 1, 1, 1, 2, 3))):
        way = decides.choices(ways, [WAYS[way] for way in ways])[0]
        made.kinds.append(way.__name__.strip("_"))
        with suppress(KeyError, TypeError, ValueError, IndexError):  # an earlier change left no place for it
            way(made, decides)
    return made


def _field(made: Mutant, random: Random) -> None:
    """Change, leave out or add any field of the manifest."""
    holder, key = _place(made.manifest, random)
    way = random.random()
    if way < 0.1:
        del holder[key]
    elif way < 0.2 and isinstance(holder, list):
        holder.extend([copy.deepcopy(holder[key])] * random.choice((1, 2, 1000)))
    elif way < 0.3 and isinstance(holder, dict):
        holder[random.choice(("x", "", *holder))] = copy.deepcopy(holder[key])
    elif way < 0.5 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * random.choice((-1, 0, 2, 0.5, 10**6)) + random.choice((0, 1, -1))
    else:
        holder[key] = random.choice(ODD)
    made.kinds[-1] += f" {key}" if isinstance(key, str) and len(key) < 30 else ""


def _place(root: Any, random: Random) -> tuple[Any, Any]:
    """Choose a place in nested JSON: a list or an object, and what stands for the value in it."""
    holder = root
    while True:
        keys = [key for key in _keys(holder) if key not in ("files", "schema_version")]
        key = random.choice(keys)
        if not _keys(holder[key]) or random.random() < 0.2:
            return holder, key
        holder = holder[key]


def _keys(value: Any) -> list[Any]:
    return (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )


def _promise(made: Mutant, random: Random) -> None:
    """State other costs or draws than the graphs have: nothing at all, or far more."""
    for key in random.sample(sorted(made.manifest["cost"]), 2):
        made.manifest["cost"][key] = random.choice((0, 1, 2**28, *INTEGERS, "length", "length*length"))
    if random.random() < 0.6:
        site = random.choice(made.manifest["sites"])
        axis = random.randrange(1, len(site["shape"]))
        site["shape"][axis] = units = random.choice((1, 2, 2**16, 2**22, 2**28, "length", "1000*length"))
        _edit(made, PASSES, lambda model: _widen(model, site["name"], axis, units))


def _widen(model: onnx.ModelProto, name: str, axis: int, units: int | str) -> str:
    """Let a graph take draws of another size, of which it uses the first ones."""
    (value,) = (value for value in model.graph.input if value.name == name)
    dimension = value.type.tensor_type.shape.dim[axis]
    size = dimension.dim_value or 1
    dimension.Clear()
    dimension.dim_param = str(units)
    for node in model.graph.node:
        node.input[:] = ["some draws" if each == name else each for each in node.input]
    first = {"starts": 0, "ends": size, "axes": axis}
    for key, number in first.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([number], np.int64), key))
    model.graph.node.insert(0, onnx.helper.make_node("Slice", [name, *first], ["some draws"]))
    return f"{units}"


def _manifest_bytes(made: Mutant, random: Random) -> None:
    """Write the manifest as no library does."""
    text = json.dumps(made.manifest)
    way = random.randrange(6)
    if way == 0:
        made.text = _bytes(text.encode(), random)
    elif way == 1:
        made.text = text.replace('"task"', '"task": "regression", "task"', 1).encode()
    elif way == 2:
        made.text = text.replace(
            '"example": ', '"example": ' + "[" * _DEEP + "]" * _DEEP + ', "x": ', 1
        ).encode()
    elif way == 3:
        made.text = text.replace("0.5", random.choice(("NaN", "Infinity", "1e999", "9" * 5000)), 1).encode()
    elif way == 4:
        made.text = text.encode("utf-16")
    else:
        made.text = (text + " " * random.choice((10, 2**24, 2**25))).encode()


def _graph_bytes(made: Mutant, random: Random) -> None:
    """Change bytes of a graph."""
    name = random.choice(GRAPHS)
    made.files[name] = _bytes(made.files[name], random)
    made.seal()


def _bytes(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 5, 50))):
        place = random.randrange(len(changed) + 1)
        piece = random.choice((random.randbytes(1), b"\0", b"\xff", b"\xff" * 9 + b"\x01", b"", changed[:50]))
        changed[place : place + random.choice((0, 1, 1, 9))] = piece
    return bytes(changed)


def _graph_field(made: Mutant, random: Random) -> None:
    """Change fields of one graph."""
    _edit(made, random.choice(GRAPHS), lambda model: graph_fields.mutate(model, random))


def _graph_fields(made: Mutant, random: Random) -> None:
    """Change both graphs alike."""
    seed = random.random()
    for name in GRAPHS:
        _edit(made, name, lambda model: graph_fields.mutate(model, Random(seed)))


def _graft(made: Mutant, random: Random) -> None:
    """Graft what traps, never ends or takes all memory into one graph, or into both."""
    for name in random.choice(((PREDICT,), (PASSES,), GRAPHS)):
        _edit(made, name, lambda model: grafts.graft(model, random))


def _edit(made: Mutant, name: str, change: Callable[[onnx.ModelProto], str]) -> None:
    """Change a graph, if an earlier change left one."""
    with suppress(DecodeError, ValueError, TypeError, IndexError):
        model = onnx.load_from_string(made.files[name])
        if model.graph.node and model.graph.output and model.graph.input:
            made.kinds[-1] += f" {change(model)}"
            made.files[name] = model.SerializeToString()
    made.seal()


def _weights(made: Mutant, random: Random) -> None:
    """Change the weights."""
    content = made.files.get(WEIGHTS, bytes(64))
    floats = np.frombuffer(content[: len(content) // 4 * 4], np.float32).copy()
    floats[random.randrange(len(floats)) :: random.choice((1, 7))] = random.choice(
        (float("nan"), float("inf"), 0, 3e38, -3e38, 1e-40)
    )
    made.files[WEIGHTS] = random.choice(
        (random.randbytes(len(content)), content[:-4], content + b"\0" * 2**16, b"", floats.tobytes())
    )
    made.seal()


def _arrays(made: Mutant, random: Random) -> None:
    """Change the calibration, or the file of an example."""
    name = random.choice((CALIBRATION, EXAMPLE))
    content = made.files.get(name)
    if content and random.random() < 0.3:
        made.files[name] = _bytes(content, random)
    else:
        made.files[name] = odd_arrays.changed(content, _shape(made), random)
    made.seal()


def _shape(made: Mutant) -> list[int]:
    sizes = made.manifest["inputs"][0]["shape"][1:]
    return [size if isinstance(size, int) and size < 1000 else 3 for size in sizes]


def _card(made: Mutant, random: Random) -> None:
    """Give it another card."""
    leading_away = b"<meta http-equiv=refresh content='0;url=//example.com'>" * 3
    made.files[CARD] = random.choice((b"", b"\0" * 1000, leading_away, random.randbytes(2**22)))
    made.seal()


def _aliases(made: Mutant, random: Random) -> None:
    """Write aliases beside it, or something that is no file in their place."""
    if random.random() < 0.5:
        text = random.choice(ALIAS_TEXTS)
        made.late.append(lambda folder: odd_files.write(folder.parent / ALIASES, text))
    else:
        kind = random.choice(odd_files.KINDS)
        made.kinds[-1] += f" {kind.__name__.strip('_')}"
        made.late.append(lambda folder: kind(folder.parent / ALIASES))


def _file(made: Mutant, random: Random) -> None:
    """Put something that is no plain file, or is far too long, in the place of a file."""
    name = random.choice((*made.files, MANIFEST))
    kind = random.choice(odd_files.KINDS)
    made.kinds[-1] += f" {kind.__name__.strip('_')}"
    size = random.choice((0, 1000, odd_files.SPARSE, 2**28, 10**15))
    if name in made.files and random.random() < 0.6:
        made.manifest["files"][name] = {"sha256": hashlib.sha256().hexdigest(), "bytes": size}
    made.late.append(lambda folder: kind(folder / name))


def _list(made: Mutant, random: Random) -> None:
    """List another file in the manifest, or leave one out."""
    listed = made.manifest["files"]
    if random.random() < 0.3:
        del listed[random.choice(sorted(listed))]
    else:
        listed[random.choice(NAMES)] = copy.deepcopy(random.choice(list(listed.values())))


WAYS: dict[Callable[[Mutant, Random], None], int] = {
    _field: 18,
    _promise: 6,
    _manifest_bytes: 3,
    _graph_bytes: 8,
    _graph_field: 16,
    _graph_fields: 6,
    _graft: 26,
    _weights: 3,
    _arrays: 7,
    _card: 1,
    _aliases: 3,
    _file: 4,
    _list: 1,
}
"""The changes, with how often each is made."""
