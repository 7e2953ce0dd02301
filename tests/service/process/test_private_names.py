"""Which names of uvicorn and prometheus-client the service uses that their documentation does not promise.

A new release may take any of them away, so pyproject.toml bounds both libraries below their next minor
version. A table holds every such name; a name that a release lacks fails here, before it fails in service.
"""

import ast
import asyncio
import importlib
import inspect
import socket
from collections import deque
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

SERVICE = Path(__file__).parents[3] / "service"

DOCUMENTED = {
    "uvicorn": {"Config", "Server"},
    "prometheus_client": {*prometheus_client.__all__},
    "prometheus_client.core": {"CounterMetricFamily", "GaugeMetricFamily", "HistogramMetricFamily"},
    "prometheus_client.registry": {"Collector"},
}
"""What the service may import without a word here."""

IMPORTED: dict[str, dict[str, Any]] = {
    "prometheus_client.utils": {"floatToGoString": "d"},
    "uvicorn.protocols.http.flow_control": {"FlowControl": "transport"},
    "uvicorn.protocols.http.httptools_impl": {
        "HttpToolsProtocol": "config server_state app_state _loop",
        "RequestResponseCycle": type,
    },
}
"""By module. A name's kind is its type, or of a function the names of its parameters."""

ATTRIBUTES: dict[type, dict[str, Any]] = {
    uvicorn.Config: {"get_loop_factory": "", "http_protocol_class": type, "ssl": None},
    uvicorn.Server: {
        "config": uvicorn.Config,
        "handle_exit": "sig frame",
        "on_tick": "counter",
        "server_state": ServerState,
        "servers": list,
        "shutdown": "sockets",
    },
    ServerState: {"connections": set, "tasks": set},
    HttpToolsProtocol: {
        "_unset_keepalive_if_required": "",
        "app_state": dict,
        "connections": set,
        "cycle": RequestResponseCycle,
        "flow": FlowControl,
        "headers": list,
        "loop": asyncio.AbstractEventLoop,
        "on_body": "body",
        "on_headers_complete": "",
        "on_message_begin": "",
        "on_message_complete": "",
        "on_response_complete": "",
        "parser": object,
        "pipeline": deque,
        "scheme": str,
        "shutdown": "",
        "tasks": set,
        "timeout_keep_alive": int,
        "timeout_keep_alive_handler": "",
        "timeout_keep_alive_task": None,
        "transport": asyncio.Transport,
        "url": bytes,
    },
    FlowControl: {"pause_reading": "", "resume_reading": "", "write_paused": bool},
    RequestResponseCycle: {
        "default_headers": list,
        "disconnected": bool,
        "flow": FlowControl,
        "keep_alive": bool,
        "message_event": asyncio.Event,
        "on_response": "",
        "response_complete": bool,
        "response_started": bool,
        "transport": asyncio.Transport,
    },
}
"""By class, of an object of it that is at work; kinds as above."""

PROMISED: dict[type, set[str]] = {
    uvicorn.Config: {*inspect.signature(uvicorn.Config).parameters},
    uvicorn.Server: {"run", "serve"},
    HttpToolsProtocol: {*dir(asyncio.Protocol)},
}
"""Attributes that uvicorn or asyncio document."""

OTHERS = {"drain", "load", "scope", "send", "pause_writing", "resume_writing"}
"""Attributes that the service uses of its own objects and of asyncio's, and that uvicorn's have too."""

LIBRARIES = ("prometheus_client", "uvicorn")


@pytest.fixture(scope="module")
def at_work() -> dict[type, dict[str, Any]]:
    """Let uvicorn serve, and give the attributes of its objects while a request waits for its answer."""
    found: dict[type, dict[str, Any]] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        cycle = send.__self__
        (protocol,) = server.server_state.connections
        for each in (config, server, server.server_state, protocol, cycle.flow, cycle):
            names = [name for name in dir(each) if not hasattr(object, name)]
            found[type(each)] = {name: getattr(each, name) for name in names}
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def ask() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve([listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"204" in await asyncio.wait_for(reader.readline(), 30)
            server.should_exit = True
            writer.close()
            await serving

    config = uvicorn.Config(application, http=HttpToolsProtocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    asyncio.run(ask())
    return found


@pytest.mark.parametrize(
    ("module", "name", "kind"),
    [(module, name, kind) for module, names in IMPORTED.items() for name, kind in names.items()],
)
def test_a_name_that_is_imported_is_there(module: str, name: str, kind: object) -> None:
    assert_kind(getattr(importlib.import_module(module), name), kind)


@pytest.mark.parametrize(
    ("of", "name", "kind"),
    [(of, name, kind) for of, names in ATTRIBUTES.items() for name, kind in names.items()],
)
def test_an_attribute_is_there(
    of: type, name: str, kind: object, at_work: dict[type, dict[str, Any]]
) -> None:
    assert name in at_work[of]
    assert_kind(at_work[of][name], kind)


def test_the_tables_hold_what_the_service_imports() -> None:
    documented = {(module, name) for module, names in DOCUMENTED.items() for name in names}
    found = {each for tree in trees().values() for each in imported(tree)}
    assert found - documented == {(module, name) for module, names in IMPORTED.items() for name in names}


def test_the_tables_hold_what_the_service_uses_of_uvicorn(at_work: dict[type, dict[str, Any]]) -> None:
    named = {name for names in ATTRIBUTES.values() for name in names}
    theirs = {name for of, names in at_work.items() for name in names.keys() - PROMISED.get(of, set())}
    assert used(trees()) & theirs - OTHERS == named


def test_the_service_reaches_into_nothing_that_is_private() -> None:
    assert not {(path.name, each) for path, tree in trees().items() for each in reached(tree)}


def test_what_no_table_holds_is_found() -> None:
    source = "import uvicorn\nfrom prometheus_client import Gauge, values\n"
    tree = ast.parse(f"{source}Gauge('g', 'g')._value.set(1)\nuvicorn.main()\nvalues.MutexValue")
    assert imported(tree) > {("uvicorn", "main"), ("prometheus_client.values", "MutexValue")}
    assert reached(tree) == {"_value"}
    base = ast.parse("import uvicorn\nclass Mine(uvicorn.Server):\n    def on_tick(self): self.a")
    heir = ast.parse("class Heir(Mine):\n    def begin(self): self._captured_signals.clear()")
    other = ast.parse("class Other(Base):\n    def end(self): self.b")
    assert used({Path("1"): base, Path("2"): heir, Path("3"): other}) == {
        *("Server", "on_tick", "a", "begin", "_captured_signals", "clear")
    }


def assert_kind(value: object, kind: object) -> None:
    """Hold a value to its kind: of a table."""
    if isinstance(kind, str):
        assert callable(value)
        assert list(inspect.signature(value).parameters) == kind.split()
    elif isinstance(kind, type):
        assert isinstance(value, kind)
    else:
        assert value is kind


def trees() -> dict[Path, ast.Module]:
    """Parse the service."""
    return {path: ast.parse(path.read_text()) for path in sorted(SERVICE.rglob("*.py"))}


def imported(tree: ast.Module) -> set[tuple[str, str]]:
    """Name what a module imports of the libraries, and what it takes of that by its name."""
    found: set[tuple[str, str]] = set()
    places: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            places |= {each.name: each.name for each in node.names if each.name.startswith(LIBRARIES)}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(LIBRARIES):
            found |= {(str(node.module), each.name) for each in node.names}
            places |= {each.name: f"{node.module}.{each.name}" for each in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in places:
            found.add((places[node.value.id], node.attr))
    return found


def used(trees: dict[Path, ast.Module]) -> set[str]:
    """Name the attributes that are used, and the methods that are defined, where uvicorn is at hand.

    That is in modules which import it, and in those whose classes inherit from a class in these.
    """
    found: set[str] = set()
    heirs: set[str] = set()
    waiting = list(trees.values())
    while leaning := [tree for tree in waiting if leans(tree, heirs)]:
        waiting = [tree for tree in waiting if tree not in leaning]
        for node in (node for tree in leaning for node in ast.walk(tree)):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.ClassDef):
                heirs.add(node.name)
                found |= {each.name for each in node.body if isinstance(each, FUNCTIONS)}
    return found


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def leans(tree: ast.Module, heirs: set[str]) -> bool:
    """Tell whether a module imports uvicorn, or has a class that inherits from one of some."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {base.id for each in classes for base in each.bases if isinstance(base, ast.Name)}
    modules = {getattr(node, "module", None) for node in ast.walk(tree)}
    modules |= {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    return bool(bases & heirs) or any(str(module).startswith("uvicorn") for module in modules)


def reached(tree: ast.Module) -> set[str]:
    """Name the private attributes that are taken of something else than the object itself."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
        and ast.unparse(node.value) not in ("self", "cls", "super()", "os")
    }
