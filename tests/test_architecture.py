"""What holds the code in shape: imports go down, libraries have fences, one door is for all."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

import mergegraph
from mergegraph import demo, ops
from mergegraph.plugins import installed_plugins

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mergegraph"
BUNDLED_FILES = sorted(
    path
    for each in ("codecs", "evaluators", "methods", "sources")
    for path in (ROOT / "plugins" / f"mergegraph_{each}").glob("*.py")
)
EXAMPLE = ROOT / "plugins" / "mergegraph-example" / "src" / "mergegraph_example"

# A module, or a package as one, imports only from floors below its own.
FLOORS = """
    __main__
    cli
    report
    breed evolve testing
    search
    extract kinship moe trust
    pipeline
    preparing
    writing
    inmemory settings
    explaining guide progress running
    planning scheduling
    plans
    library stages
    adapters plugins provenance vocabulary
    hookspecs models recipe watching
    methods ops portions
    codecs evaluators factors families files findings layered
    config demo lines loops machine parameters tasks trace
    bits errors instructions interruption locking names rowmap spec strips
    secrecy
"""
FLOOR = {name: -number for number, floor in enumerate(FLOORS.split("\n")) for name in floor.split()}
# what `import mergegraph` imports
DOOR = {
    "codecs",
    "errors",
    "evaluators",
    "factors",
    "files.trees",
    "hookspecs",
    "methods",
    "parameters",
    "secrecy",
    "spec",
    "tasks",
}

# Who may use a library; nobody else in the package does.
FENCES = {
    "yaml": {"recipe.source"},
    "pluggy": {"plugins", "hookspecs"},
    "networkx": {"plans", "planning.ordering", "scheduling.drafts"},
    "typer": {
        *("cli", "cli.breeding", "cli.carrying", "cli.evolving", "cli.examining"),
        *("cli.kinship", "cli.making", "cli.options", "cli.reporting"),
        "cli.results",
    },
    "huggingface_hub": {"trust.publishing"},
    "rich": {"progress", "evolve.display"},
    "optuna": {"evolve.nsga2"},
    "cmaes": {"evolve.cmaes"},
    "pydantic": {
        "recipe.grammar",
        "recipe.checking",
        "moe.grammar",
        "moe.reading",
        "search.record",
    },
    "pydantic_core": {"adapters.patterns"},
    "safetensors": {"testing.checkpoints"},
}
LONGEST = 350
NO_SUBJECT = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc", "core"}
MUTATING = {"append", "add", "update", "setdefault", "pop", "clear", "extend", "insert", "remove"}
# what names methods: those that the papers on a search merge with
NAMING = {"breed.defaults"}
# names of methods that are words of English, too: looked for in strings only
WORDS = {"linear", "lines", "ties"}


def modules_of(folder):
    """The source files of a package by dotted name, the package itself as `__init__`."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules_of(PACKAGE)


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree) -> Iterator[tuple[str, str]]:
    """Every (module, name) that is imported, wherever the import stands; no name for `import x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.module or "", each.name) for each in node.names)
        elif isinstance(node, ast.Import):
            yield from ((each.name, "") for each in node.names)


def targets(tree) -> Iterator[str]:
    """The modules of mergegraph that are imported, by dotted name."""
    for module, name in imports(tree):
        package, _, inside = module.partition(".")
        if package == "mergegraph":
            full = f"{inside}.{name}".strip(".")
            yield full if full in MODULES else inside or "__init__"


def unit(module):
    return module.partition(".")[0]


# -- floors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    if module == "__init__":
        return
    assert unit(module) in FLOOR, f"{module}: give it a floor"
    for target in targets(parsed(MODULES[module])):
        if unit(target) != unit(module):
            told = f"{module} imports {target}, which is not below it"
            assert FLOOR.get(unit(target), 0) < FLOOR[unit(module)], told


def test_every_floor_is_of_a_module():
    assert not FLOOR.keys() - set(map(unit, MODULES))


def test_packages_have_no_circles_inside():
    graph = nx.DiGraph()
    for module, path in MODULES.items():
        inside = [each for each in targets(parsed(path)) if unit(each) == unit(module) != module]
        graph.add_edges_from((module, each) for each in inside if each != module)
    assert not list(nx.simple_cycles(graph))


def test_door_imports_little():
    """`import mergegraph`, which every plugin does, costs no more than it must."""
    body = parsed(MODULES["__init__"]).body
    at_once = ast.Module([each for each in body if not isinstance(each, ast.If)], [])
    assert set(targets(at_once)) == DOOR


def test_door_is_for_others():
    """Modules name each other, so that an import says what it needs."""
    through = [m for m, path in MODULES.items() if "__init__" in targets(parsed(path))]
    assert through == []


# -- fences ----------------------------------------------------------------------------------


@pytest.mark.parametrize("library", FENCES)
def test_library_stays_in_its_fence(library):
    users = {
        module
        for module, path in MODULES.items()
        if library in {imported.partition(".")[0] for imported, _ in imports(parsed(path))}
    }
    assert {each for each in users if unit(each) != "demo"} <= FENCES[library]


def test_nothing_prints_but_the_command_line():
    for module, path in MODULES.items():
        calls = [each.func for each in ast.walk(parsed(path)) if isinstance(each, ast.Call)]
        prints = any(isinstance(each, ast.Name) and each.id == "print" for each in calls)
        assert unit(module) in ("cli", "demo") or not prints, module


# -- methods ---------------------------------------------------------------------------------


def bundled_names():
    plugins = installed_plugins()
    return {name for name in plugins.methods if plugins.package(name).startswith("mergegraph ")}


def strings(tree) -> Iterator[str]:
    """Every string but the docstrings."""
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


@pytest.mark.parametrize("module", [m for m in MODULES if unit(m) != "demo" and m not in NAMING])
def test_no_module_names_a_method(module):
    text = MODULES[module].read_text(encoding="utf-8")
    spoken = "\n".join(strings(ast.parse(text)))
    for name in bundled_names():
        searched = spoken if name in WORDS else text
        assert not re.search(rf"\b{name}\b", searched), f"{module} names the method {name}"


def test_nothing_imports_the_bundled_methods():
    for module, path in MODULES.items():
        imported = {each.partition(".")[0] for each, _ in imports(parsed(path))}
        assert not {each for each in imported if each.startswith("mergegraph_")}, module


@pytest.mark.parametrize("path", BUNDLED_FILES, ids=lambda path: path.stem)
def test_bundled_methods_use_the_public_door(path):
    for module, name in imports(parsed(path)):
        if unit(module) != "mergegraph":
            continue
        doors = {"mergegraph": mergegraph.__all__, "mergegraph.demo": demo.__all__}
        assert module in doors or module.startswith("mergegraph.ops"), module
        assert name in doors.get(module, [name]), name
        assert not name.startswith("_"), name


@pytest.mark.parametrize("path", sorted(EXAMPLE.glob("*.py")), ids=lambda path: path.stem)
def test_example_uses_public_names_only(path):
    public = {"mergegraph": mergegraph.__all__, "mergegraph.ops": ops.__all__}
    for module, name in imports(parsed(path)):
        assert unit(module) != "mergegraph" or name in public[module], f"{module}.{name}"


# -- modules ---------------------------------------------------------------------------------

SOURCES = [*MODULES.values(), *BUNDLED_FILES, *EXAMPLE.glob("*.py")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_module_is_short_and_says_what_it_is_about(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST, "look for its second subject"
    assert ast.get_docstring(ast.parse(text)), "it says nothing of its subject"
    assert path.stem not in NO_SUBJECT


def changed_names(tree) -> Iterator[str]:
    """Names that functions change in place, or rebind for the whole module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names
        changed = node.value if isinstance(node, ast.Subscript | ast.Attribute) else None
        is_call = isinstance(node, ast.Attribute) and node.attr in MUTATING
        is_target = isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
        if isinstance(changed, ast.Name) and (is_call or is_target):
            yield changed.id


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_module_keeps_no_state(path):
    tree = parsed(path)
    assigned = [each for each in tree.body if isinstance(each, ast.Assign | ast.AnnAssign)]
    named = {n.id for each in assigned for n in ast.walk(each) if isinstance(n, ast.Name)}
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.Lambda)]
    local = {n.id for f in functions for n in ast.walk(f) if is_bound(n)}
    changed = {name for f in functions for name in changed_names(f)}
    assert not (changed & named) - local


def is_bound(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
