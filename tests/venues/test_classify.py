"""What each answer proves: every row of the tables about lost and lying answers, by transport, status and code."""

import csv
from pathlib import Path

import pytest

from klined.domain import MarketKind
from klined.venues.classify import (
    BINANCE,
    BYBIT,
    KRAKEN,
    Answer,
    Doubtful,
    NoAnswer,
    Passed,
    Proof,
    Reaction,
    Refused,
    Rules,
    classify,
    rules_of,
)

SPOT, PERP = BINANCE[MarketKind.SPOT], BINANCE[MarketKind.PERP]
HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"


def coded(status: int, code: int, message: str = "said") -> Answer:
    return Answer(status, b'{"code":%d,"msg":"%s"}' % (code, message.encode()))


def proof(outcome: Answer | NoAnswer, rules: Rules = SPOT) -> type[Proof]:
    return type(classify(outcome, rules))


def read(shared_data: Path, name: str) -> list[str]:
    return (shared_data / "fixtures/binance_docs" / name).read_text(encoding="utf-8").splitlines()


DOUBTED: dict[str, Answer | NoAnswer] = {
    "5xx": Answer(500, b"oops"),
    "503 unknown": coded(503, -1000, "Unknown error, please check your request or try again later."),
    "502 html": Answer(502, HTML),
    "503 html": Answer(503, HTML),
    "504 nothing": Answer(504, b""),
    "-1000 under 400": coded(400, -1000),
    "-1006": coded(503, -1006),
    "-1006 under 400": coded(400, -1006),
    "-1007": coded(408, -1007),
    "-1007 under 400": coded(400, -1007),
    "408": Answer(408, b""),
    "time-out": NoAnswer(sent=True, why="time-out"),
    "reset": NoAnswer(sent=True, why="connection reset"),
    "cut body": Answer(200, b'{"orderId":1,"sym'),
    "empty 200": Answer(200, b""),
    "html 200": Answer(200, HTML),
    "unknown code": coded(400, -9999),
    "unknown code under 200": coded(200, -9999),
    "4xx without a code": Answer(404, b"not found"),
    "redirect": Answer(302, b""),
    "known code under 500": coded(500, -1013),
}


@pytest.mark.parametrize("rules", [SPOT, PERP], ids=["spot", "perp"])
@pytest.mark.parametrize("name", DOUBTED)
def test_an_answer_that_proves_nothing_is_doubted(name: str, rules: Rules) -> None:
    assert proof(DOUBTED[name], rules) is Doubtful


REFUSED: dict[str, tuple[Answer | NoAnswer, Reaction]] = {
    "never sent": (NoAnswer(sent=False, why="refused"), Reaction.NONE),
    "-1008 throttled": (coded(503, -1008, "throttled by system-level protection"), Reaction.NONE),
    "-1021": (coded(400, -1021), Reaction.CLOCK),
    "-1022": (coded(400, -1022), Reaction.HALT),
    "-2014": (coded(401, -2014), Reaction.HALT),
    "-2015": (coded(401, -2015), Reaction.HALT),
    "401": (Answer(401, b""), Reaction.HALT),
    "403 html": (Answer(403, HTML), Reaction.HALT),
    "451": (Answer(451, b""), Reaction.HALT),
    "429": (coded(429, -1003), Reaction.WAIT),
    "429 html": (Answer(429, HTML), Reaction.WAIT),
    "418": (coded(418, -1003), Reaction.WAIT),
    "-1015": (coded(429, -1015), Reaction.WAIT),
    "-1013": (coded(400, -1013, "Filter failure: LOT_SIZE"), Reaction.FILTERS),
    "-1111": (coded(400, -1111), Reaction.FILTERS),
    "-2010": (coded(400, -2010, "Account has insufficient balance for requested action."), Reaction.NONE),
    "-2011": (coded(400, -2011), Reaction.ABSENT),
    "-2013": (coded(400, -2013), Reaction.ABSENT),
    "-2010 duplicate": (coded(400, -2010, "Duplicate order sent."), Reaction.DUPLICATE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_sure_refusal_says_what_it_asks_for(name: str) -> None:
    outcome, reaction = REFUSED[name]
    for rules in (SPOT, PERP):
        judged = classify(outcome, rules)
        assert isinstance(judged, Refused)
        assert judged.reaction is reaction
        assert judged.why


@pytest.mark.parametrize(
    ("code", "reaction"),
    [
        (-2019, Reaction.NONE),
        (-2022, Reaction.NONE),
        (-4116, Reaction.DUPLICATE),
        (-4164, Reaction.FILTERS),
        (-4120, Reaction.NONE),
    ],
)
def test_codes_of_futures_refuse_there_and_prove_nothing_on_spot(code: int, reaction: Reaction) -> None:
    judged = classify(coded(400, code), PERP)
    assert isinstance(judged, Refused)
    assert judged.reaction is reaction
    assert proof(coded(400, code), SPOT) is Doubtful


@pytest.mark.parametrize(
    "sentence", ["Service Unavailable.", "Internal error; unable to process your request. Please try again."]
)
def test_two_sentences_under_503_mean_not_done_on_futures_only(sentence: str) -> None:
    for answer in (Answer(503, sentence.encode()), coded(503, -1001, sentence)):
        assert proof(answer, PERP) is Refused
        assert proof(answer, SPOT) is Doubtful


def test_an_answer_without_fault_passes_with_its_data() -> None:
    assert classify(Answer(200, b'{"orderId":7}'), SPOT) == Passed({"orderId": 7})
    assert classify(Answer(200, b'{"code":200,"msg":"success"}'), PERP) == Passed({"code": 200, "msg": "success"})
    assert classify(Answer(200, b"[]"), SPOT) == Passed([])


def test_no_documented_code_is_a_refusal_while_it_speaks_of_unknown_execution(shared_data: Path) -> None:
    rows = list(csv.DictReader(read(shared_data, "spot_errors.csv")))
    vague = [row for row in rows if "unknown" in row["message"].lower() and "status" in row["message"].lower()]
    assert {row["code"] for row in vague} == {"-1006", "-1007"}
    for row in rows:
        judged = classify(coded(400, int(row["code"])), SPOT)
        if row["code"] in {"-1000", "-1001", "-1006", "-1007"}:
            assert isinstance(judged, Doubtful)


def test_order_codes_of_the_documents_are_known(shared_data: Path) -> None:
    wanted = {"InvalidOrder", "InsufficientFunds", "OrderNotFillable", "OrderImmediatelyFillable"}
    rows = [
        row
        for row in csv.DictReader(read(shared_data, "binance_error_codes_ccxt.csv"))
        if row["ccxt_exception"] in wanted
    ]
    linear = [row["code"] for row in rows if row["market"] == "linear"]
    known = [code for code in linear if proof(coded(400, int(code)), PERP) is Refused]
    assert len(linear) > 5
    assert set(linear) - set(known) <= {"-5047"}  # of amendments, which klined never sends


def test_foreign_text_is_short_and_printable() -> None:
    judged = classify(Answer(500, b"\x1b[31m\xe2\x80\xae" + b"x" * 5_000), SPOT)
    assert isinstance(judged, Doubtful)
    assert len(judged.why) < 200
    assert judged.why.isprintable()


def test_faults_of_other_exchanges_stand_in_a_200() -> None:
    poor = Answer(200, b'{"error":["EOrder:Insufficient funds"]}')
    assert proof(poor, KRAKEN) is Refused
    assert proof(Answer(200, b'{"error":["EService:Timeout"]}'), KRAKEN) is Doubtful
    assert proof(Answer(200, b'{"error":[],"result":{}}'), KRAKEN) is Passed
    assert proof(Answer(200, b'{"retCode":110007,"retMsg":"no"}'), BYBIT) is Refused
    assert proof(Answer(200, b'{"retCode":10016,"retMsg":"server error"}'), BYBIT) is Doubtful
    assert proof(Answer(200, b'{"retCode":0,"result":{}}'), BYBIT) is Passed


def test_an_exchange_without_tables_is_believed_by_status_only() -> None:
    rules = rules_of("somewhere", MarketKind.SPOT)
    assert proof(Answer(400, b'{"code":-1013,"msg":"x"}'), rules) is Doubtful
    assert proof(Answer(429, b""), rules) is Refused
    assert proof(Answer(200, b"{}"), rules) is Passed
