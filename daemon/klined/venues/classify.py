"""What an answer proves about a request: it passed, it was refused for sure, or nobody can tell. Pure.

    nothing came back ─┬─ never sent ──────────────────────────▶ Refused
                       └─ sent ────────────────────────────────▶ Doubtful
    2xx ─┬─ JSON, no fault in it ──────────────────────────────▶ Passed
         ├─ JSON with a code ──┐
         └─ empty, cut, HTML ──┼───────────────────────────────▶ Doubtful
    4xx with a code ───────────┴─ in the tables: Refused; else ▶ Doubtful
    403 429 418 451 401, code or not ──────────────────────────▶ Refused
    408, other 4xx without a code, 3xx, 5xx ───────────────────▶ Doubtful, but for a few sentences

Exception classes of client libraries do not tell these apart, so nothing here knows them. A code that stands in no
table proves nothing. For a read, Doubtful only means: ask again.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec
from msgspec import Struct

from klined.domain import MarketKind

TEXT_MAX = 160  # characters of a foreign body that are repeated in a sentence
REFUSING_STATUS = frozenset({401, 403, 418, 429, 451})  # stopped at the door, before the matching engine


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class NoAnswer(Struct, frozen=True):
    """Nothing usable came back. `sent` is False only when no byte of the request can have left."""

    sent: bool
    why: str


class Reaction(StrEnum):
    """What a refusal asks of us beyond dropping the request."""

    NONE = "none"
    HALT = "halt"  # key, permission or place is wrong: a person must act
    CLOCK = "clock"  # our time is not the venue's
    WAIT = "wait"  # too many requests
    FILTERS = "filters"  # our idea of tick, lot or notional is out of date
    DUPLICATE = "duplicate"  # the id is in use: the order is there already
    ABSENT = "absent"  # no such order, as far as this read knows


class Passed(Struct, frozen=True):
    data: object


class Refused(Struct, frozen=True):
    """Certainly not done."""

    code: str
    why: str
    reaction: Reaction = Reaction.NONE


class Doubtful(Struct, frozen=True):
    """Done or not, this does not tell."""

    why: str


Proof = Passed | Refused | Doubtful
Fault = tuple[str, str]
"""Code and message of a body that reports one."""


class Rules(Struct, frozen=True):
    """How one exchange words its refusals. Codes are text: `-1013`, `110007`, `EOrder:Insufficient funds`."""

    fault: Callable[[object], Fault | None]  # of a decoded body; None when it reports none
    refused: frozenset[str]  # codes that prove that nothing was done
    reactions: Mapping[str, Reaction] = {}
    sure: frozenset[str] = frozenset()  # sentences that prove it even under a 5xx
    sure_codes: frozenset[str] = frozenset()  # codes that do
    duplicates: frozenset[str] = frozenset()  # sentences of a code that otherwise refuses


def classify(outcome: Answer | NoAnswer, rules: Rules) -> Proof:
    """What `outcome` proves by transport, status and code."""
    match outcome:
        case NoAnswer(sent=False, why=why):
            return Refused("", f"never sent: {why}")
        case NoAnswer(why=why):
            return Doubtful(why)
        case Answer(status=status) if 200 <= status < 300:
            return _success(outcome, rules)
        case _:
            return _failure(outcome, rules)


def _success(answer: Answer, rules: Rules) -> Proof:
    try:
        data: object = msgspec.json.decode(answer.body)
    except msgspec.MsgspecError:
        return Doubtful(f"HTTP {answer.status} with a body that is no JSON: {excerpt(answer.body)}")
    fault = rules.fault(data)
    return Passed(data) if fault is None else _coded(answer, *fault, rules)


def _failure(answer: Answer, rules: Rules) -> Proof:
    try:
        data: object = msgspec.json.decode(answer.body)
    except msgspec.MsgspecError:
        data = None
    code, message = rules.fault(data) or ("", "")
    if answer.status in REFUSING_STATUS:
        return Refused(code, _said(answer, code, message), rules.reactions.get(code, _by_status(answer.status)))
    if 400 <= answer.status < 500 and answer.status != 408 and code:
        return _coded(answer, code, message, rules)
    if 300 <= answer.status < 400:
        return Doubtful(
            f"HTTP {answer.status} sends us elsewhere, which is refused: the key stays here; is the URL right?"
        )
    plain = message or answer.body[:TEXT_MAX].decode(errors="replace").strip()
    if answer.status == 503 and (code in rules.sure_codes or plain in rules.sure):
        return Refused(code, _said(answer, code, plain), rules.reactions.get(code, Reaction.NONE))
    return Doubtful(_said(answer, code, message))


def _coded(answer: Answer, code: str, message: str, rules: Rules) -> Proof:
    said = _said(answer, code, message)
    if message in rules.duplicates:
        return Refused(code, said, Reaction.DUPLICATE)
    if code in rules.refused or code in rules.sure_codes:
        return Refused(code, said, rules.reactions.get(code, Reaction.NONE))
    return Doubtful(f"{said}: a code that proves nothing")


def _by_status(status: int) -> Reaction:
    return Reaction.WAIT if status in {418, 429} else Reaction.HALT


def _said(answer: Answer, code: str, message: str) -> str:
    return f"HTTP {answer.status} {code} {message or excerpt(answer.body)}".replace("  ", " ").strip()


def excerpt(body: bytes) -> str:
    """The beginning of a foreign body, on one line and harmless; `nothing` when it is empty."""
    text = " ".join(body[:TEXT_MAX].decode(errors="replace").split())
    return "".join(char for char in text if char.isprintable()) or "nothing"


def _binance_fault(data: object) -> Fault | None:
    """`{"code": -1013, "msg": "..."}`; code 200 is how some endpoints say yes."""
    if not isinstance(data, dict):
        return None
    code = data.get("code")
    if isinstance(code, bool) or not isinstance(code, int) or code == 200:
        return None
    return str(code), str(data.get("msg", ""))[:TEXT_MAX]


def _codes(*parts: int | range) -> frozenset[str]:
    each = (part if isinstance(part, range) else range(part, part + 1) for part in parts)
    return frozenset(str(-code) for numbers in each for code in numbers)


# Left out on purpose: -1000, -1001 (spot), -1004, -1006, -1007 say nothing about execution.
_DOOR = _codes(1002, 1003, 1005, 1008, 1011, range(1013, 1017), 1020, 1021, 1022, 1099)
_PARAMETERS = _codes(range(1100, 1107), range(1108, 1122), 1127, 1128, 1130, 1131, range(1134, 1137), 1145, 1151)
_SPOT = _codes(1122, 1158, 1160, 1165, 1166, 1168, range(1196, 1200), 1210, 1211, 1220, 2026, 2043)
_ACCOUNT = _codes(2008, 2010, 2011, 2013, 2014, 2015, 2016)
_PERP = _codes(
    *(1001, 1109, 1110, 1122, range(2017, 2029), range(4000, 4063), 4067, 4068, range(4082, 4089), 4118, 4120),
    *(4131, 4136, 4140, 4141, 4144, 4164, 4183, 4184, 4192, 4202, 4203, 4205, 4206, range(4208, 4212)),
    *(range(4400, 4404), 4531, 5021, 5022, 5025, 5028, range(5037, 5042), 4116),
)

_REACTIONS = {
    **dict.fromkeys(_codes(1002, 1022, 1099, 2008, 2014, 2015, 2017), Reaction.HALT),
    **dict.fromkeys(_codes(1021, 5028), Reaction.CLOCK),
    **dict.fromkeys(_codes(1003, 1015), Reaction.WAIT),
    **dict.fromkeys(_codes(1013, 1111, 4164), Reaction.FILTERS),
    **dict.fromkeys(_codes(2013, 2011), Reaction.ABSENT),
    "-4116": Reaction.DUPLICATE,
}
_SURE = frozenset({"Service Unavailable.", "Internal error; unable to process your request. Please try again."})
_DUPLICATES = frozenset({"Duplicate order sent."})

BINANCE: Mapping[MarketKind, Rules] = {
    MarketKind.SPOT: Rules(
        _binance_fault,
        _DOOR | _PARAMETERS | _ACCOUNT | _SPOT,
        _REACTIONS,
        sure_codes=_codes(1008),
        duplicates=_DUPLICATES,
    ),
    MarketKind.PERP: Rules(
        _binance_fault,
        _DOOR | _PARAMETERS | _ACCOUNT | _PERP,
        _REACTIONS,
        sure=_SURE,
        sure_codes=_codes(1008),
        duplicates=_DUPLICATES,
    ),
}
"""Only the documents of USDT-M say that the two sentences of `sure` mean "not done"; spot's say that 5xx is unknown."""


def _kraken_fault(data: object) -> Fault | None:
    """`{"error": ["EOrder:Insufficient funds"], ...}`."""
    if not isinstance(data, dict):
        return None
    errors = data.get("error")
    if not isinstance(errors, list) or not errors:
        return None
    return str(errors[0])[:TEXT_MAX], ", ".join(str(error) for error in errors)[:TEXT_MAX]


KRAKEN = Rules(
    _kraken_fault,
    frozenset(
        {
            *("EAPI:Invalid key", "EAPI:Invalid signature", "EAPI:Invalid nonce", "EAPI:Rate limit exceeded"),
            *("EGeneral:Permission denied", "EGeneral:Invalid arguments", "EQuery:Unknown asset pair"),
            *("EOrder:Insufficient funds", "EOrder:Order minimum not met", "EOrder:Rate limit exceeded"),
            *("EOrder:Orders limit exceeded", "EOrder:Cost minimum not met", "EOrder:Unknown order"),
            *("EOrder:Cannot open position", "EOrder:Tick size check failed", "EService:Market in cancel_only mode"),
        }
    ),
    {
        "EAPI:Invalid key": Reaction.HALT,
        "EAPI:Invalid signature": Reaction.HALT,
        "EGeneral:Permission denied": Reaction.HALT,
        "EAPI:Invalid nonce": Reaction.CLOCK,
        "EAPI:Rate limit exceeded": Reaction.WAIT,
        "EOrder:Rate limit exceeded": Reaction.WAIT,
        "EOrder:Unknown order": Reaction.ABSENT,
    },
)


def _kucoin_fault(data: object) -> Fault | None:
    """`{"code": "200004", "msg": "Balance insufficient!"}`; 200000 is yes."""
    if not isinstance(data, dict) or str(data.get("code", "200000")) == "200000":
        return None
    return str(data["code"]), str(data.get("msg", ""))[:TEXT_MAX]


KUCOIN = Rules(
    _kucoin_fault,
    frozenset(
        {
            *("200001", "200002", "200003", "200004", "200005", "230003", "260100", "300000", "400001", "400002"),
            *("400003", "400004", "400005", "400006", "400007", "400100", "400350", "400760", "411100", "900001"),
        }
    ),
    {
        **dict.fromkeys(("400001", "400003", "400004", "400005", "400006", "400007", "411100"), Reaction.HALT),
        "400002": Reaction.CLOCK,
        "200002": Reaction.WAIT,
    },
)


def _bybit_fault(data: object) -> Fault | None:
    """`{"retCode": 110007, "retMsg": "...", "result": {}}`; 0 is yes."""
    if not isinstance(data, dict) or data.get("retCode", 0) == 0:
        return None
    return str(data["retCode"]), str(data.get("retMsg", ""))[:TEXT_MAX]


BYBIT = Rules(
    _bybit_fault,
    frozenset(
        {
            *("10001", "10002", "10003", "10004", "10005", "10006", "10010", "10018", "10024"),
            *("110001", "110003", "110004", "110006", "110007", "110012", "110014", "110017", "110072", "110094"),
        }
    ),
    {
        **dict.fromkeys(("10003", "10004", "10005", "10010", "10024"), Reaction.HALT),
        "10002": Reaction.CLOCK,
        "10006": Reaction.WAIT,
        "10018": Reaction.WAIT,
        "110001": Reaction.ABSENT,
        "110072": Reaction.DUPLICATE,
        "110094": Reaction.FILTERS,
    },
)


def _no_fault(_data: object) -> Fault | None:
    return None


RULES: Mapping[str, Rules] = {"kraken": KRAKEN, "kucoin": KUCOIN, "bybit": BYBIT}


def rules_of(exchange: str, kind: MarketKind) -> Rules:
    """Tables of an exchange; without any, only transport and status prove something."""
    if exchange == "binance":
        return BINANCE[kind]
    return RULES.get(exchange, Rules(_no_fault, frozenset()))
