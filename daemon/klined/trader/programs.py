"""From declared features to a program: which kernel runs where, in which order, over which bytes of one S row.

    declarations ─▶ parse ─▶ Builder: one row per different value ─▶ Program (code, constants) ─▶ plan_step

Equal expressions are one row, whoever asks for them: `adx(14)` and `plus_di(14)` share one state. Constants fold into
one multiply-add. Every value knows when its first bar comes, how long it remembers its start and the interval it lies
in; so a program is warm-up, bounds and memory at once, and needs no check at run time.
"""

from collections.abc import Iterable, Sequence
from math import inf, isfinite

from msgspec import Struct
from msgspec.structs import replace

from klined.domain import Bar
from klined.kernels import frames, micro, regimes
from klined.kernels import program as op
from klined.trader.coding import MINUTE_MS, Coder
from klined.trader.declarations import Binary, Declaration, Frame, Name, Node, Number, canonical, fault, parse, unknown
from klined.trader.functions import ALIASES, FUNCTIONS, HMM, MACROS, Function
from klined.trader.indicators import INDICATORS, LATE, MICRO, SERIES, Indicator, Param
from klined.trader.operands import Value, interval, scaled

BASE_MS = 60_000
SYMBOLS = {"+": op.PLUS, "-": op.MINUS, "*": op.TIMES, "/": op.QUOTIENT}


class Result(Struct, frozen=True):
    """What is known of one feature before any bar was seen."""

    name: str
    text: str
    first_bar: int  # index of its first value, at the latest
    stable_bars: int | None
    low: float | None  # None: unbounded, as `high`
    high: float | None


class Program(Struct, frozen=True):
    """A plan's market features as data; see `klined.kernels.program` for the meaning of rows and columns."""

    code: tuple[tuple[int, ...], ...]
    constants: tuple[float, ...]
    state_size: int
    results: tuple[Result, ...]
    interval_ms: int = BASE_MS

    @property
    def first_bar(self) -> int:
        """Index of the first bar with a finite row, at the latest."""
        return max(result.first_bar for result in self.results)

    def masked(self, bar: Bar) -> list[str]:
        """Features that are 0 because the feed of `bar` does not tell what they read; see `klined.kernels.micro`."""
        untold = [] if bar.micro else ["trades."]
        untold += [] if len(bar.micro) >= micro.MICRO else ["book."]
        return [each.name for each in self.results if any(name in each.text for name in untold)]

    @property
    def stable_bars(self) -> int:
        """Bars until all that can forget the start has."""
        return max(result.stable_bars or 0 for result in self.results)


def build(declared: Iterable[str | Declaration], interval_ms: int = BASE_MS) -> Program:
    """The program of these features, in their order, for bars of `interval_ms`.

    Raises:
        ConfigError: a feature that cannot be, with the column and the nearest name that exists.
    """
    features = [parse(one) if isinstance(one, str) else one for one in declared]
    return _Builder(interval_ms).build(features)


class _Builder(Coder):
    """Walks the expressions of a plan's features; `source` is the one being read, for messages."""

    def __init__(self, interval_ms: int) -> None:
        super().__init__(interval_ms)
        self.source = ""

    def build(self, features: Sequence[Declaration]) -> Program:
        results, places = [], []
        for feature in features:
            self.source = feature.source
            value = self.solid(self.value(feature.node, 0))
            if value.place < 0:
                raise fault(feature.source, 1, "a number is no feature")
            self.needs[value.minutes] = max(self.needs[value.minutes], value.first + 1)
            places.append(value.place)
            results.append(
                Result(
                    feature.name,
                    feature.text,
                    self.in_bars(value.minutes, value.first + 1, late=True) - 1,
                    None if value.stable is None else self.in_bars(value.minutes, value.stable, late=True),
                    value.low if isfinite(value.low) else None,
                    value.high if isfinite(value.high) else None,
                )
            )
        writes = self.written(places)
        code: list[tuple[int, ...]] = []
        for minutes in sorted(self.rows, reverse=True):
            at = self.blocks[minutes]
            constant = self.constant(minutes * MINUTE_MS, self.interval_ms) if minutes else 0
            head = op.FRAME if minutes else op.BASE
            code.append(self.row(head, at=at, start=self.needs[minutes], constant=constant))
            if not minutes and self.micro >= 0:
                code.append(self.row(op.MICRO, at=self.micro))
            code += self.rows[minutes]
        return Program((*code, *writes), tuple(self.constants), self.size, tuple(results), self.interval_ms)

    # --- values ---------------------------------------------------------------------------------------------------

    def value(self, node: Node, minutes: int) -> Value:
        """The value of `node` over bars of `minutes`."""
        match node:
            case Number(value):
                return Value(-1, minutes, 0, 0, value, value, 0.0, value)
            case Binary():
                return self.binary(node, minutes)
            case Frame(inner, wanted, column):
                if minutes:
                    raise fault(self.source, column, "a timeframe inside a timeframe; write the @ once, outside")
                return self.value(inner, self.frame(wanted, column))
            case Name(name):
                return self.named(node, name, minutes)

    def frame(self, minutes: int, column: int) -> int:
        """Make room for bars of `minutes`, unless they are the plan's own; the minutes, or 0."""
        width = minutes * MINUTE_MS
        if width == self.interval_ms:
            return 0
        if width < self.interval_ms or width % self.interval_ms:
            raise fault(
                self.source, column, f"bars of {minutes}m cannot be made of bars of {self.interval_ms // 1000} s"
            )
        if minutes not in self.rows:
            self.rows[minutes] = []
            self.needs[minutes] = 1
            self.blocks[minutes] = self.room(frames.FRAME)
        return minutes

    def named(self, node: Name, name: str, minutes: int) -> Value:
        if name in MACROS:
            return self.value(self.written_out(node), minutes)
        name, _, output = ALIASES[name].partition(".") if name in ALIASES else (name, "", "")
        if output and node.output:
            raise unknown(self.source, node.column, f"output of {node.name}", node.output, [output])
        node = replace(node, name=name, output=output or node.output)
        if name in SERIES:
            if node.series or node.numbers or node.named or node.output:
                raise fault(self.source, node.column, f"{name} is a series of the bar and takes nothing")
            return self.series(name, minutes)
        if name in INDICATORS:
            return self.indicator(node, INDICATORS[name], minutes)
        if name in FUNCTIONS:
            return self.function(node, FUNCTIONS[name], minutes)
        if name == HMM:
            return self.hidden(node, minutes)
        raise unknown(self.source, node.column, "feature", name, {*SERIES, *INDICATORS, *FUNCTIONS, *ALIASES, *MACROS})

    def written_out(self, node: Name) -> Node:
        text, params = MACROS[node.name]
        if params:
            numbers = self.numbers(node, params)
            return parse(text.format(*(f"{number:g}" for number in numbers))).node
        if len(node.series) != text.count("{}") or node.numbers or node.named:
            raise fault(self.source, node.column, f"{node.name} takes {text.count('{}')} series")
        return parse(text.format(*map(canonical, node.series))).node

    def series(self, name: str, minutes: int) -> Value:
        low = -inf if name == "change" else 0.0
        return Value(self.blocks[minutes] + SERIES[name], minutes, int(name in LATE), int(name in LATE), low)

    def indicator(self, node: Name, of: Indicator, minutes: int) -> Value:
        numbers = self.numbers(node, of.params)
        wholes = tuple(int(n) for n, param in zip(numbers, of.params, strict=True) if param.whole)
        floats = tuple(n for n, param in zip(numbers, of.params, strict=True) if not param.whole)
        outputs = [output.name for output in of.outputs]
        if node.output not in {*outputs, ""}:
            raise unknown(self.source, node.column, f"output of {node.name}", node.output, [o for o in outputs if o])
        which = outputs.index(node.output) if node.output in outputs else 0
        start, stable, inputs = of.start, 0, self.inputs(node, of, wholes, minutes)
        if node.series:
            if not of.free or len(node.series) != 1:
                raise fault(
                    self.source, node.column, f"{node.name} reads {', '.join(of.inputs)}, not a series of yours"
                )
            given = self.solid(self.value(node.series[0], minutes))
            if of.inputs == ("change",):
                given = self.apply(FUNCTIONS["diff"], (), (given,), minutes, node.column)
            self.same_frame(given, minutes, node.column)
            start, inputs = given.first, [given.place]
            stable = given.stable if given.stable is not None else None  # type: ignore[assignment]  # None: never
        place = self.emit(of.op, minutes, start, wholes, floats, tuple(inputs), of.size(*wholes), len(outputs))
        output = of.outputs[which]
        first = start - of.start + output.lookback(*wholes)
        self.needs[minutes] = max(self.needs[minutes], first + 1)
        own = of.stable(*wholes)
        forgotten = None if own is None or stable is None else max(own, output.lookback(*wholes) + 1) + stable
        return Value(place + which, minutes, first, forgotten, output.low, output.high)

    def inputs(self, node: Name, of: Indicator, wholes: tuple[int, ...], minutes: int) -> list[int]:
        """Places of the series that an indicator reads."""
        names = of.inputs
        if of.op == op.IMBALANCE:
            if wholes[0] not in micro.LEVELS:
                raise fault(self.source, node.column, f"{of.name}: levels is {wholes[0]}, not one of {micro.LEVELS}")
            names = (f"bid{wholes[0]}", f"ask{wholes[0]}")
        if minutes and not MICRO.keys().isdisjoint(names):
            raise fault(self.source, node.column, f"{of.name} is known of the plan's own bars only; leave the @ out")
        if self.micro < 0 and not MICRO.keys().isdisjoint(names):
            self.micro = self.room(micro.MICRO)
        return [self.micro + MICRO[name] if name in MICRO else self.blocks[minutes] + SERIES[name] for name in names]

    def function(self, node: Name, of: Function, minutes: int) -> Value:
        numbers = self.numbers(node, of.params)
        if len(node.series) != of.series or node.output:
            raise fault(self.source, node.column, f"{of.name} takes {of.series} series and has no outputs")
        given = [self.value(one, minutes) for one in node.series]
        if of.op == op.PER:
            over, under = (self.solid(value) for value in given)
            both = self.joined((over, under))
            return replace(both, place=over.place, yardstick=under.place)
        if of.op == op.SQUASH and given[0].yardstick >= 0 and given[0].shift == 0.0:
            value = given[0]
            inputs = (value.place, value.yardstick, self.blocks[minutes] + frames.CLOSE)
            place = self.emit(op.SQUASH_PER, value.minutes, value.first, (), (value.scale,), inputs)
            return replace(value, place=place, scale=1.0, yardstick=-1, low=-1.0, high=1.0)
        return self.apply(of, numbers, tuple(map(self.solid, given)), minutes, node.column)

    def apply(
        self, of: Function, numbers: Sequence[float], given: tuple[Value, ...], minutes: int, column: int
    ) -> Value:
        wholes = tuple(int(n) for n, param in zip(numbers, of.params, strict=True) if param.whole)
        floats = tuple(n for n, param in zip(numbers, of.params, strict=True) if not param.whole)
        both = self.joined(given)
        if of.stateful:
            for value in given:
                self.same_frame(value, minutes, column)
        inputs = (*(v.place for v in given), *(self.blocks[minutes] + SERIES[name] for name in of.extra))
        place = self.emit(of.op, both.minutes, both.first, wholes, floats, inputs, of.size(*wholes))
        low, high = of.bounds(*numbers)
        if of.op == op.CLIP:
            low, high = max(low, min(given[0].low, high)), min(high, max(given[0].high, low))
        elif of.op == op.SQUASH:
            low, high = 0.0 if given[0].low >= 0.0 else low, 0.0 if given[0].high <= 0.0 else high
        first = both.first + of.lookback(*wholes)
        stable = None if both.stable is None else both.stable + of.stable(*wholes)
        self.needs[both.minutes] = max(self.needs[both.minutes], first + 1)
        return Value(place, both.minutes, first, stable, low, high)

    def hidden(self, node: Name, minutes: int) -> Value:
        """The forward filter; the number of states follows from how many numbers there are."""
        series = len(node.series)
        sizes = {k + k * k + 2 * k * series: k for k in range(2, regimes.STATES_MAX + 1)}
        states = sizes.get(len(node.numbers), 0)
        if not 1 <= series <= regimes.SERIES_MAX or not states or node.named:
            raise fault(
                self.source, node.column, f"hmm takes 1 to 3 series and, for {series} of them, {sorted(sizes)} numbers"
            )
        self.check_hidden(node, states, series)
        outputs = [f"p{k}" for k in range(states)]
        if node.output not in {*outputs, ""}:
            raise unknown(self.source, node.column, "output of hmm", node.output, outputs)
        given = tuple(self.solid(self.value(one, minutes)) for one in node.series)
        for value in given:
            self.same_frame(value, minutes, node.column)
        both = self.joined(given)
        inputs = tuple(value.place for value in given)
        size = regimes.hmm_size()
        place = self.emit(op.HMM, minutes, both.first, (states, series), node.numbers, inputs, size, states)
        which = outputs.index(node.output) if node.output else 0
        stable = None if both.stable is None else both.stable + 400
        self.needs[minutes] = max(self.needs[minutes], both.first + 1)
        return Value(place + which, minutes, both.first, stable, 0.0, 1.0)

    def check_hidden(self, node: Name, states: int, series: int) -> None:
        numbers = node.numbers
        rows = [numbers[:states], *(numbers[states * (k + 1) : states * (k + 2)] for k in range(states))]
        spreads = numbers[len(numbers) - states * series :]
        if any(abs(sum(row) - 1.0) > 1e-6 or min(row) < 0.0 for row in rows) or min(spreads) <= 0.0:
            raise fault(self.source, node.column, "hmm: a row of probabilities does not sum to 1, or a variance is 0")

    def binary(self, node: Binary, minutes: int) -> Value:
        left, right = self.value(node.left, minutes), self.value(node.right, minutes)
        folded = self.folded(node, left, right)
        if folded is not None:
            return folded
        left, right = self.solid(left), self.solid(right)
        if left.place < 0:  # number / series
            place = self.emit(op.INVERSE, right.minutes, right.first, (), (left.shift,), (right.place,))
            return replace(right, place=place, low=-inf, high=inf)
        both = self.joined((left, right))
        low, high = interval(node.symbol, left, right)
        inputs = (left.place, right.place)
        place = self.emit(SYMBOLS[node.symbol], both.minutes, both.first, (), (), inputs)
        return replace(both, place=place, low=low, high=high)

    def folded(self, node: Binary, left: Value, right: Value) -> Value | None:  # noqa: PLR0911 - a table of cases
        """One of both is a number: no row, only another scale and shift."""
        a, b = left.shift, right.shift
        if node.symbol == "/" and right.place < 0 and b == 0.0:
            raise fault(self.source, node.column, "division by zero")
        match node.symbol, left.place < 0, right.place < 0:
            case "+", _, True:
                return scaled(left, 1.0, b)
            case "-", _, True:
                return scaled(left, 1.0, -b)
            case "*", _, True:
                return scaled(left, b, 0.0)
            case "/", _, True:
                return scaled(left, 1.0 / b, 0.0)
            case "+", True, _:
                return scaled(right, 1.0, a)
            case "-", True, _:
                return scaled(right, -1.0, a)
            case "*", True, _:
                return scaled(right, a, 0.0)
        return None

    def solid(self, value: Value) -> Value:
        """`value` with a place of its own: its pending quotient, scale and shift done by rows."""
        if value.place < 0:
            return value
        minutes = value.minutes
        if value.yardstick >= 0:
            inputs = (value.place, value.yardstick, self.blocks[minutes] + frames.CLOSE)
            place = self.emit(op.PER, minutes, value.first, (), (), inputs)
            value = replace(value, place=place, yardstick=-1)
        if value.scale == 1.0 and value.shift == 0.0:
            return value
        floats = (value.scale, value.shift)
        place = self.emit(op.AFFINE, minutes, value.first, (), floats, (value.place,))
        return replace(value, place=place, scale=1.0, shift=0.0)

    def joined(self, given: Sequence[Value]) -> Value:
        """What a row over all of these knows: the latest start, the longest memory, whose bars."""
        stables = [value.stable for value in given if value.stable is None or value.stable]
        worst = None if None in stables else max((s for s in stables if s is not None), default=0)
        minutes = {value.minutes for value in given if value.place >= 0}
        if len(minutes) <= 1:
            first = max(value.first for value in given)
            return Value(-1, minutes.pop() if minutes else 0, first, worst)
        firsts = [self.in_bars(value.minutes, value.first + 1, late=True) - 1 for value in given]
        stables = [value.stable and self.in_bars(value.minutes, value.stable, late=True) for value in given]
        return Value(-1, 0, max(firsts), None if worst is None else max(s or 0 for s in stables))

    def same_frame(self, value: Value, minutes: int, column: int) -> None:
        if value.place < 0:
            raise fault(self.source, column, "a number where a series should be")
        if value.minutes != minutes:
            raise fault(
                self.source, column, f"a memory of bars over values of {value.minutes}m; put the @ around the whole"
            )

    # --- numbers and rows -----------------------------------------------------------------------------------------

    def numbers(self, node: Name, params: tuple[Param, ...]) -> tuple[float, ...]:
        """One number per parameter: given in order, given by name, or the default."""
        if len(node.numbers) > len(params):
            names = ", ".join(param.name for param in params) or "none"
            raise fault(self.source, node.column, f"{node.name} takes {len(params)} numbers ({names})")
        given = dict(zip((param.name for param in params), node.numbers, strict=False))
        for name, value in node.named:
            if name not in {param.name for param in params}:
                kind = f"parameter of {node.name}"
                raise unknown(self.source, node.column, kind, name, [param.name for param in params])
            given[name] = value
        return tuple(self.checked(node, param, given.get(param.name, param.default)) for param in params)

    def checked(self, node: Name, param: Param, value: float | None) -> float:
        where = f"{node.name}: {param.name}"
        if value is None:
            raise fault(self.source, node.column, f"{where} must be given")
        if not param.low <= value <= param.high or (param.whole and value != int(value)):
            kind = "a whole number" if param.whole else "a number"
            raise fault(
                self.source, node.column, f"{where} is {value:g}, not {kind} of [{param.low:g}, {param.high:g}]"
            )
        return value
