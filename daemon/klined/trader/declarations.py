"""How a feature is written: `name = expression`, in the words of `klined features list`.

    rsi = rsi(14, flat=50) / 50 - 1            hist = squash(per(macd(12, 26, 9).hist, atr(14)))
    slow = ema(typical, 50)@15m                 z = clip(zscore(close - sma(20), 60), 5) / 5

    feature := [name '='] sum        sum := product (('+' | '-') product)*     product := factor (('*' | '/') factor)*
    factor  := '-' factor | atom ['@' number unit]                            unit := m | h | d
    atom    := number | '(' sum ')' | name ['(' argument, ... ')'] ['.' output]    name: word, or book.word, trades.word
    argument := sum | name '=' ['-'] number        first the series, then the numbers

`parse` knows the grammar only; `klined.trader.programs` knows the names.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from msgspec import Struct

from klined.errors import ConfigError

SPACES = frozenset({"book", "trades"})
"""Names that only begin one: `book.imbalance(5)`."""

UNITS_MINUTES = {"m": 1, "h": 60, "d": 1440}
TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|([A-Za-z_]\w*)|(.))")


class Number(Struct, frozen=True):
    value: float
    column: int


class Name(Struct, frozen=True):
    """A series, an indicator or a function."""

    name: str
    series: "tuple[Node, ...]"
    numbers: tuple[float, ...]
    named: tuple[tuple[str, float], ...]
    output: str
    column: int


class Binary(Struct, frozen=True):
    symbol: str  # + - * /
    left: "Node"
    right: "Node"
    column: int


class Frame(Struct, frozen=True):
    """An expression over bars of another length."""

    node: "Node"
    minutes: int
    column: int


Node = Number | Name | Binary | Frame


class Declaration(Struct, frozen=True):
    """One feature; `text` is the expression in canonical form."""

    name: str
    node: Node
    text: str
    source: str  # as it was written, for messages


def parse(text: str) -> Declaration:
    """The feature that `text` declares; without a name it is called by its canonical form.

    Raises:
        ConfigError: where the text stops making sense, by column.
    """
    return _Parser(text).feature()


def canonical(node: Node) -> str:
    """The one way to write `node`, which parses to itself."""
    match node:
        case Number(value):
            return _number(value)
        case Binary(symbol, left, right):
            return f"({canonical(left)} {symbol} {canonical(right)})"
        case Frame(inner, minutes):
            return f"{canonical(inner)}@{minutes}m"
        case Name(name, series, numbers, named, output):
            inside = [*map(canonical, series), *map(_number, numbers), *(f"{k}={_number(v)}" for k, v in named)]
            called = f"({', '.join(inside)})" if inside else ""
            return f"{name}{called}{'.' + output if output else ''}"


def fault(source: str, column: int, what: str) -> ConfigError:
    """An error that points into a declaration; columns count from 1."""
    return ConfigError(f"feature {source!r}, column {column}: {what}; klined features list shows what there is")


def unknown(source: str, column: int, kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """An error about a name that does not exist, with the nearest that does."""
    known = sorted(known)
    near = get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[:12])}"
    return fault(source, column, f"unknown {kind} {name!r}; {hint}")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


class _Parser:
    """Recursive descent over tokens (kind, text, column); kinds are number, name, symbol and end."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens: list[tuple[str, str, int]] = []
        place = 0
        while place < len(source.rstrip()):
            found = TOKEN.match(source, place)
            assert found is not None  # noqa: S101 - the last alternative takes anything
            kind = ("number", "name", "symbol")[(found.lastindex or 1) - 1]
            self.tokens.append((kind, found[found.lastindex or 1], found.start(found.lastindex or 1) + 1))
            place = found.end()
        self.tokens.append(("end", "the end", len(source) + 1))
        self.at = 0

    def feature(self) -> Declaration:
        name = ""
        if self.tokens[0][0] == "name" and len(self.tokens) > 2 and self.tokens[1][1] == "=":
            name = self.tokens[0][1]
            self.at = 2
        node = self.sum()
        if self.tokens[self.at][0] != "end":
            raise self.unexpected("an operator or the end")
        text = canonical(node)
        text = text[1:-1] if isinstance(node, Binary) else text
        return Declaration(name or text, node, text, self.source)

    def sum(self) -> Node:
        node = self.product()
        while self.peek() in {"+", "-"}:
            _, symbol, column = self.take()
            node = Binary(symbol, node, self.product(), column)
        return node

    def product(self) -> Node:
        node = self.factor()
        while self.peek() in {"*", "/"}:
            _, symbol, column = self.take()
            node = Binary(symbol, node, self.factor(), column)
        return node

    def factor(self) -> Node:
        if self.peek() == "-":
            _, _, column = self.take()
            inner = self.factor()
            if isinstance(inner, Number):
                return Number(-inner.value, column)
            return Binary("*", Number(-1.0, column), inner, column)
        node = self.atom()
        if self.peek() == "@":
            _, _, column = self.take()
            kind, text, where = self.take()
            unit = self.tokens[self.at]
            if kind != "number" or unit[1] not in UNITS_MINUTES:
                raise fault(self.source, where, f"{text!r} is no length of bars; write 5m, 15m, 1h or 1d")
            self.take()
            node = Frame(node, int(float(text) * UNITS_MINUTES[unit[1]]), column)
        return node

    def atom(self) -> Node:
        kind, text, column = self.tokens[self.at]
        if kind == "number":
            self.take()
            return Number(float(text), column)
        if text == "(":
            self.take()
            node = self.sum()
            self.expect(")")
            return node
        if kind != "name":
            raise self.unexpected("a number, a name or a parenthesis")
        self.take()
        if text in SPACES and self.peek() == ".":
            self.take()
            text = f"{text}.{self.take()[1]}"
        series, numbers, named = self.arguments() if self.peek() == "(" else ((), (), ())
        output = ""
        if self.peek() == ".":
            self.take()
            kind, output, _ = self.take()
            if kind != "name":
                self.at -= 1
                raise self.unexpected("the name of an output")
        return Name(text, series, numbers, named, output, column)

    def arguments(self) -> tuple[tuple[Node, ...], tuple[float, ...], tuple[tuple[str, float], ...]]:
        series: list[Node] = []
        numbers: list[float] = []
        named: list[tuple[str, float]] = []
        self.expect("(")
        while self.peek() != ")":
            kind, text, column = self.tokens[self.at]
            if kind == "name" and self.tokens[self.at + 1][1] == "=":
                self.at += 2
                value = self.factor()
                if not isinstance(value, Number):
                    raise fault(self.source, column, f"parameter {text} must be a number")
                named.append((text, value.value))
            else:
                node = self.sum()
                if isinstance(node, Number) and not named:
                    numbers.append(node.value)
                elif numbers or named:
                    raise fault(self.source, column, "series come first, then numbers, then named parameters")
                else:
                    series.append(node)
            if self.peek() != ",":
                break
            self.take()
        self.expect(")")
        return tuple(series), tuple(numbers), tuple(sorted(named))

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.tokens[self.at][0] == "symbol" else ""

    def take(self) -> tuple[str, str, int]:
        token = self.tokens[self.at]
        self.at += token[0] != "end"
        return token

    def expect(self, symbol: str) -> None:
        if self.peek() != symbol:
            raise self.unexpected(repr(symbol))
        self.take()

    def unexpected(self, wanted: str) -> ConfigError:
        kind, text, column = self.tokens[self.at]
        found = text if kind == "end" else repr(text)
        return fault(self.source, column, f"{found} where {wanted} should be")
