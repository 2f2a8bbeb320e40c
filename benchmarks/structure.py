"""Structure of a tree: rooms and the arrows between them, dense lines, long functions.

    python benchmarks/structure.py              # of this tree
    python benchmarks/structure.py OLD_TREE .   # of several, one column each
    python benchmarks/structure.py --list       # also the functions that are too long

A room is a package, or a module beside the packages of `twostage`. An arrow says that
one room imports another, wherever in the file, but for type checkers alone. It runs up
where the layers of setup.cfg put the imported room above the importing one, or beside
it. Needs import-linter (the extra `dev`).
"""

import argparse
import ast
import configparser
import dataclasses
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PACKAGES = ("twostage", "callbacks")
MIN_BODY_LINES = 5  # shorter bodies say little of density
MAX_FUNCTION_LINES = 40
MAX_COLUMNS = 88
Function = ast.FunctionDef | ast.AsyncFunctionDef
Arrow = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Layers:
    """The layers of import-linter's contract.

    Args:
        levels: Level of each room that the contract names; 0 is the top.
    """

    levels: dict[str, int]

    @classmethod
    def read(cls, path: Path) -> "Layers":
        """From a setup.cfg."""
        setup = configparser.ConfigParser()
        setup.read(path)
        lines = setup["importlinter:contract:layers"]["layers"].split("\n")
        levels = {}
        for level, line in enumerate(filter(None, lines)):
            for name in line.replace(":", "|").split("|"):
                levels[name.strip(" ()")] = level
        return cls(levels)

    def layer(self, room: str) -> str | None:
        """The name in the contract that covers a room: its own, or its package's."""
        while room not in self.levels:
            room, dot, _ = room.rpartition(".")
            if not dot:
                return None
        return room

    def runs_up(self, arrow: Arrow) -> bool:
        importing, imported = map(self.layer, arrow)
        if importing is None or imported is None or importing == imported:
            return False
        return self.levels[imported] <= self.levels[importing]


def arrows_between_rooms(tree: Path) -> tuple[set[str], set[Arrow]]:
    """The rooms of a tree and the arrows between them."""
    sys.path.insert(0, str(tree))
    try:
        graph = grimp.build_graph(
            *PACKAGES, exclude_type_checking_imports=True, cache_dir=None
        )
    finally:
        sys.path.remove(str(tree))
    packages = {name for name in graph.modules if graph.find_children(name)}
    rooms, arrows = set(), set()
    for module in graph.modules:
        room = _room(module, packages)
        rooms.add(room)
        for imported in graph.find_modules_directly_imported_by(module):
            arrows.add((room, _room(imported, packages)))
    return rooms, {arrow for arrow in arrows if arrow[0] != arrow[1]}


def _room(module: str, packages: set[str]) -> str:
    parent = module.rpartition(".")[0]
    if module in packages or parent in ("", "twostage"):
        return module
    return parent


def in_circles(rooms: set[str], arrows: set[Arrow]) -> set[str]:
    """The rooms that can be reached from themselves."""
    reached = {room: {b for a, b in arrows if a == room} for room in rooms}
    grown = True
    while grown:
        before = sum(map(len, reached.values()))
        for room, others in reached.items():
            further = [reached[other] for other in others]
            reached[room] = others.union(*further)
        grown = sum(map(len, reached.values())) > before
    return {room for room, others in reached.items() if room in others}


def sources(tree: Path) -> dict[str, str]:
    """The text of each file."""
    texts = {}
    for package in PACKAGES:
        for path in sorted((tree / package).rglob("*.py")):
            texts[str(path.relative_to(tree))] = path.read_text()
    return texts


def functions(source: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            yield node


def density(function: Function) -> float | None:
    """AST nodes per line of the body, docstring excluded; None for a short body."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    if not body:
        return None
    last = body[-1].end_lineno or body[-1].lineno
    lines = last - body[0].lineno + 1
    if lines < MIN_BODY_LINES:
        return None
    nodes = sum(1 for statement in body for _ in ast.walk(statement))
    return nodes / lines


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def is_annotated(function: Function) -> bool:
    """Whether the result and every parameter but self and cls have types; `__init__`
    needs none for its result.
    """
    given = function.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    parameters += [each for each in (given.vararg, given.kwarg) if each]
    named = [each for each in parameters if each.arg not in ("self", "cls")]
    typed = [each for each in named if each.annotation]
    if function.name == "__init__":
        return typed == named
    return typed == named and function.returns is not None


def measure(tree: Path, layers: Layers) -> dict[str, str]:
    """What is printed of a tree: titles and values."""
    rooms, arrows = arrows_between_rooms(tree)
    texts = sources(tree).values()
    found = [function for text in texts for function in functions(text)]
    densities = [each for each in map(density, found) if each is not None]
    long = sum(length(function) > MAX_FUNCTION_LINES for function in found)
    lines = [line for text in texts for line in text.splitlines()]
    wide = sum(len(line) > MAX_COLUMNS for line in lines)
    annotated = sum(map(is_annotated, found)) / len(found)
    unnamed = sum(layers.layer(room) is None for room in rooms)
    return {
        "rooms": f"{len(rooms)}",
        "rooms that no layer names": f"{unnamed}",
        "rooms in circles": f"{len(in_circles(rooms, arrows))}",
        "arrows": f"{len(arrows)}",
        "arrows up": f"{sum(map(layers.runs_up, arrows))}",
        "files": f"{len(texts)}",
        "lines": f"{len(lines):,}",
        f"lines over {MAX_COLUMNS} columns": f"{wide:,}",
        "functions": f"{len(found):,}",
        f"functions over {MAX_FUNCTION_LINES} lines": f"{long}",
        "annotated functions": f"{annotated:.0%}",
        "AST nodes per line, median": f"{statistics.median(densities):.1f}",
        "AST nodes per line, 90%": f"{statistics.quantiles(densities, n=10)[-1]:.1f}",
    }


def list_long_functions(tree: Path) -> None:
    for path, text in sources(tree).items():
        for function in functions(text):
            if length(function) > MAX_FUNCTION_LINES:
                lines = length(function)
                print(f"{path}:{function.lineno}: {function.name}, {lines} lines")


def main(trees: list[Path], listing: bool = False) -> None:
    layers = Layers.read(ROOT / "setup.cfg")
    columns = [measure(tree.resolve(), layers) for tree in trees]
    for title in columns[0]:
        values = "".join(f"{column[title]:>10}" for column in columns)
        print(f"{title:30}{values}")
    if listing:
        for tree in trees:
            list_long_functions(tree)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trees", nargs="*", type=Path, default=[ROOT], metavar="TREE")
    parser.add_argument("--list", action="store_true", help="name long functions")
    options = parser.parse_args()
    main(options.trees, options.list)
