"""The building's rules, as functions from one module's text to what is wrong with it: PURE, no file is read here.

    fences      a foreign library is known in the few modules that are its gate
    direction   who may import whom, room by room
    purity      what has to be a function of its arguments
    clocks      nothing reads a clock or draws a lot; it is given one
    tree        no task outside our own nurseries, no unbounded channel, nothing alive at import, and
                a startable function that tells its starter
    prose       each module says what room it is; nothing names this machine or a package registry

The tables say what is allowed and why. A row without a reason is a fault of its own. tests/test_architecture.py holds
the rules against every module, and each of them against a violation planted for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import PurePosixPath

# --- the tables ----------------------------------------------------------------------------------------------------

ISLAND = (
    "messaging/amqp*.py",
    "store/redis*.py",
)  # the asyncio island: one module each side of the shore
HTTP = ("web/*", "realtime/body.py", "demo/*")
FENCES: dict[str, tuple[str, ...]] = {
    "asyncio": ISLAND,
    "trio_asyncio": ISLAND,
    "aio_pika": ("messaging/amqp*.py",),
    "aiormq": ("messaging/amqp*.py",),
    "pamqp": ("messaging/amqp*.py",),
    "redis": ("store/redis*.py",),
    "sqlite3": ("store/sqlite*.py",),
    "httpx": ("downstream/http.py", "web/jwks.py"),
    "httpcore": ("downstream/http.py",),
    "quart": HTTP,
    "quart_trio": HTTP,
    "werkzeug": HTTP,
    "hypercorn": ("serving/*",),
    "h11": ("serving/*",),
    "h2": ("serving/*",),
    "wsproto": ("serving/*",),
    "jwt": ("web/auth*.py", "web/keys*.py"),
    "prometheus_client": ("telemetry/*",),
    "opentelemetry": ("telemetry/*",),
    "click": ("__main__.py", "commands/*"),
}

COMMON = frozenset(
    {"errors", "settings", "telemetry"}
)  # everyone's, `domain` and `errors` excepted
BUILDERS = frozenset(
    {"domain", "downstream", "queries", "messaging", "store", "realtime", "web", "serving", "demo"}
    | {"dashboard"}
    | {"supervise", "process"}
)
ROOMS: dict[str, frozenset[str]] = {
    # Who composes may know all that it composes; nobody imports who composes, but the command line.
    "__main__": COMMON | {"commands", "process", "service"},
    "commands": BUILDERS
    | COMMON
    | {"service", "consumers", "playground", "publishing", "dead_letters", "workers"},
    "workers": COMMON | {"process", "supervise"},
    "playground": BUILDERS | COMMON | {"service", "back_office", "consumers"},
    "publishing": BUILDERS | COMMON,
    "dead_letters": BUILDERS | COMMON,
    "service": BUILDERS | COMMON | {"back_office", "consumers", "readings"},
    "back_office": BUILDERS | COMMON | {"consumers", "readings"},
    "consumers": COMMON | {"messaging", "domain", "supervise"},
    "readings": COMMON | {"downstream", "realtime", "serving"},
    "web": COMMON | {"queries", "downstream", "realtime", "dashboard", "domain"},
    "dashboard": COMMON,
    "queries": COMMON | {"downstream", "domain"},
    "downstream": COMMON | {"domain"},
    "messaging": COMMON | {"domain"},
    "store": COMMON | {"domain"},
    "realtime": COMMON | {"domain"},
    "serving": COMMON,
    "demo": COMMON,
    "supervise": COMMON,
    "process": COMMON,
    "telemetry": frozenset({"errors", "settings"}),
    "settings": frozenset({"errors"}),
    "domain": frozenset({"errors"}),
    "errors": frozenset(),
}
# (room, module): why it is no step sideways.
SIDEWAYS: dict[tuple[str, str], str] = {
    (
        room,
        "store.contract",
    ): "the promises and values of the log; no implementation comes with them"
    for room in ("messaging", "realtime", "queries", "web")
} | {
    ("store", "dashboard.board"): "the promise of the board and its one value; no task with them",
}
OWN_SETTINGS: dict[str, frozenset[str]] = {
    "web": frozenset({"AuthSettings", "StreamSettings"}),
    "realtime": frozenset({"StreamSettings"}),
    "downstream": frozenset({"ServicesSettings"}),
    "queries": frozenset({"ServicesSettings", "ViewSettings"}),
    "messaging": frozenset({"MessagingSettings"}),
    "store": frozenset({"StoreSettings"}),
    "serving": frozenset({"ServingSettings"}),
    "telemetry": frozenset({"LogSettings"}),
    "demo": frozenset(),
    "supervise": frozenset(),
    "process": frozenset(),
    "workers": frozenset(),
}

PURE = (
    "domain/*",
    "realtime/frames.py",
    "realtime/recent.py",
    "downstream/breaker.py",
    "downstream/backoff.py",
    "downstream/retries.py",
    "downstream/window.py",
    "dashboard/reports.py",
    "dashboard/merging.py",
    "dashboard/pictures.py",
)
IMPURE_IMPORTS = frozenset(
    {
        "trio",
        "trio_util",
        "time",
        "random",
        "os",
        "secrets",
        "socket",
        "threading",
        "structlog",
        "logging",
    }
)

CLOCKS_AND_LOTS = re.compile(
    r"time\.(time|monotonic|perf_counter|process_time)(_ns)?|time\.(sleep|localtime|gmtime)"
    r"|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
    r"|random\.\w+|secrets\.\w+|uuid\.uuid[14]|os\.(urandom|getrandom)"
)
# Which modules may, and why; `what` limits it to these names.
ALLOWED_CLOCKS: dict[str, tuple[str, str]] = {
    "commands/*": (r"time\.time", "the command line is where the machine's clock comes in"),
    "back_office/shop.py": (
        r"time\.time|random\.uniform",
        "hands the clock and the jitter to who needs them",
    ),
    "service.py": (r"time\.time", "reads the keys once before anything starts"),
    "playground.py": (
        r"time\.time|secrets\.token_hex|uuid\.uuid4",
        "composes the demo, as service.py",
    ),
    "publishing.py": (r"uuid\.uuid4", "a publisher names its messages"),
    "process.py": (
        r"time\.sleep",
        "the last resort waits in a thread, for a Trio that no longer runs",
    ),
    "demo/ticks.py": (r"time\.time_ns", "the simulated services' one clock, passed on from here"),
    "demo/world.py": (r"uuid\.uuid4", "the simulated services' ids, passed on from here"),
    "store/*": (r"secrets\.token_\w+", "epochs and generations have to be new, not to be repeated"),
}

ALIVE_AT_IMPORT = re.compile(
    r"trio\.(Event|Lock|StrictFIFOLock|Condition|Semaphore|CapacityLimiter|open_memory_channel)"
    r"|trio_util\.Async\w+|httpx\.(Async)?Client|redis\.(asyncio\.)?Redis\w*(\.from_url)?"
    r"|quart_trio\.QuartTrio|quart\.Quart|aio_pika\.\w+|sqlite3\.connect"
)
QUARTS_OWN_TASKS = frozenset(
    {"add_background_task", "before_serving", "after_serving", "while_serving"}
)

# --- one module ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Module:
    """One file under storefront/; `path` is relative to it."""

    path: PurePosixPath
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def room(self) -> str:
        return self.path.parts[0].removesuffix(".py")

    def lies_in(self, *patterns: str) -> bool:
        return any(fnmatchcase(str(self.path), pattern) for pattern in patterns)

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """(line, dotted name) of all that is imported, nested imports and single names included."""
        found: list[tuple[int, str]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        return found

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = ("storefront", *self.path.parts[:-1])
        above = package[: len(package) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])

    @cached_property
    def names(self) -> dict[str, str]:
        """What a bare name of this module stands for: {"now": "datetime.datetime.now"}."""
        known: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    known[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    known[alias.asname or alias.name] = f"{self._base(node)}.{alias.name}"
        return known

    def dotted(self, node: ast.expr) -> str:
        """The full name of an expression like `dt.now`, or "" where it has none."""
        match node:
            case ast.Name():
                return self.names.get(node.id, "")
            case ast.Attribute():
                base = self.dotted(node.value)
                return f"{base}.{node.attr}" if base else ""
            case ast.Subscript():  # open_memory_channel[int]
                return self.dotted(node.value)
        return ""


# --- the rules -----------------------------------------------------------------------------------------------------


def fences(module: Module) -> Iterator[str]:
    for line, name in module.imports:
        gates = FENCES.get(name.split(".")[0])
        if gates is not None and not module.lies_in(*gates):
            yield f"{line}: {name} is known in {', '.join(gates)} only"


def direction(module: Module) -> Iterator[str]:
    if module.path.name == "__init__.py" and len(module.path.parts) == 1:
        may = frozenset[str]()  # the tour tells of the rooms and opens none
    elif module.room in ROOMS:
        may = ROOMS[module.room] | {module.room}
    else:
        yield f"1: the room {module.room} is not in the drawing (ROOMS in tests/architecture.py)"
        return
    for line, name in module.imports:
        ours, _, inner = name.partition(".")
        if ours != "storefront" or not inner:
            continue
        room = inner.split(".")[0]
        sideways = any(
            inner == allowed or inner.startswith(f"{allowed}.")
            for who, allowed in SIDEWAYS
            if who == module.room
        )
        if room not in may and not sideways:
            yield f"{line}: {module.room} may not import {room}"
        own = OWN_SETTINGS.get(module.room)
        if room == "settings" and own is not None and inner.partition(".")[2] not in own:
            yield f"{line}: {name} is another room's section of the settings"


def purity(module: Module) -> Iterator[str]:
    if not module.lies_in(*PURE):
        return
    for line, name in module.imports:
        if name.split(".")[0] in IMPURE_IMPORTS:
            yield f"{line}: {name} in a pure module"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{node.lineno}: something waits in a pure module"


def clocks(module: Module) -> Iterator[str]:
    allowed = [what for path, (what, _) in ALLOWED_CLOCKS.items() if module.lies_in(path)]
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        name = module.dotted(node)
        if CLOCKS_AND_LOTS.fullmatch(name) and not any(re.fullmatch(a, name) for a in allowed):
            yield f"{node.lineno}: {name} read inside logic; take a clock or a lot as an argument"


def tree_of_tasks(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            if node.attr in QUARTS_OWN_TASKS:
                yield f"{node.lineno}: {node.attr}: a task there dies unseen (hazards H5)"
            if node.attr == "nursery" and ends_with_app(node.value):
                yield f"{node.lineno}: app.nursery: a task there dies unseen (hazards H5)"
        elif isinstance(node, ast.Call) and is_unbounded_channel(module, node):
            yield f"{node.lineno}: a channel without a bound"


def ends_with_app(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return name.endswith("app")


def is_unbounded_channel(module: Module, call: ast.Call) -> bool:
    if not module.dotted(call.func).endswith("open_memory_channel"):
        return False
    sizes = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any("inf" in re.findall(r"\w+", ast.unparse(size)) for size in sizes)


def startables(module: Module) -> Iterator[str]:
    """A function with a task_status says started() or hands it on, or its starter waits for ever."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.AsyncFunctionDef) or is_stub(node):
            continue
        parameters = {p.arg for p in (*node.args.args, *node.args.kwonlyargs)}
        used = any(
            isinstance(inner, ast.Name) and inner.id == "task_status"
            for statement in node.body
            for inner in ast.walk(statement)
        )
        if "task_status" in parameters and not used:
            yield f"{node.lineno}: {node.name} takes a task_status and forgets it"


def is_stub(node: ast.AsyncFunctionDef) -> bool:
    """A protocol's method: nothing but a docstring or an ellipsis."""
    return all(
        isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in node.body
    )


def alive_at_import(module: Module) -> Iterator[str]:
    for node in executed_at_import(module.tree):
        if isinstance(node, ast.Call) and ALIVE_AT_IMPORT.fullmatch(module.dotted(node.func)):
            yield f"{node.lineno}: {ast.unparse(node.func)}() at import: no scope owns it"


def executed_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: bodies of functions do not, their defaults do."""
    yield node
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from executed_at_import(child)


def says_what_it_is(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield "1: the module does not say what room it is"


RULES = (
    fences,
    direction,
    purity,
    clocks,
    tree_of_tasks,
    startables,
    alive_at_import,
    says_what_it_is,
)

# --- text of any kind ----------------------------------------------------------------------------------------------

# Neither pattern is found by itself in its own text.
MACHINE_PATH = re.compile(r"(?<![\w.:/~$}-])/(?:work|root|home)(?=/|\b(?![\w.-]))")
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|crates\.io|deb\.debian\.org"
)


def names_of_this_place(text: str) -> Iterator[str]:
    """Absolute paths of a machine, and hosts that packages come from."""
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, what in (
            (MACHINE_PATH, "a path of one machine"),
            (REGISTRIES, "a registry's host"),
        ):
            if found := pattern.search(line):
                yield f"{number}: {what}: {found[0]}"


TEST_HABITS = re.compile(r"time\.sleep|pytest\.(skip|xfail|importorskip|mark\.(skip|skipif|xfail))")


def habits_of_tests(module: Module) -> Iterator[str]:
    """A test does not sleep on the wall clock, and does not excuse itself."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = module.dotted(node)
            if TEST_HABITS.fullmatch(name):
                yield f"{node.lineno}: {name} in a test"
