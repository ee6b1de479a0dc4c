"""Starts that cannot begin, as a user sees them: one sentence, the right exit code, never a hang."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from klined.venues.wire import READ_TRIES
from wire.driver import checked, exchange, launch


@asynccontextmanager
async def answering(
    status: int, text: str, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that says the same to everybody; its URL, and what it was asked."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, text=text, headers=headers)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def ended(folder: Path, **sets: Any) -> tuple[int, str]:
    """Exit code and last words of a start on a sandbox that is well."""
    async with exchange(folder) as there:
        here = await launch(folder, there, **sets)
        try:
            assert not await here.lives(60.0), f"still there:\n{here.tail()}"
            code = here.process.returncode
        finally:
            await here.kill()
    assert code is not None
    assert "Traceback" not in "".join(here.raw)
    return code, here.raw[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        ({"market__symbols": "FOO/USDT"}, "FOOUSDT is not among"),
        ({"exchange__testnet": "false", "mode__live": "true"}, "klined run --live"),
    ],
)
async def test_what_only_a_person_can_mend_ends_a_start_with_code_2(
    sets: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    code, words = await ended(tmp_path, **sets)
    assert code == 2
    assert sentence in words


@pytest.mark.slow
@pytest.mark.parametrize("status", [403, 451])
async def test_a_place_that_is_refused_is_asked_once(status: int, tmp_path: Path) -> None:
    async with answering(status, "not from here") as (url, asked):
        code, words = await ended(tmp_path, exchange__rest_url=url, exchange__speed="1")
    assert code == 2
    assert words.startswith("klined: ")
    assert f"HTTP {status}" in words
    assert len(asked) == 1


@pytest.mark.slow
async def test_a_redirect_ends_a_start_and_is_not_followed(tmp_path: Path) -> None:
    async with (
        answering(200, "{}") as (other, reached),
        answering(302, "", {"Location": other}) as (url, asked),
    ):
        code, words = await ended(tmp_path, exchange__rest_url=url, exchange__speed="1")
    assert code == 1
    assert "sends us elsewhere" in words
    assert len(asked) == 5 * READ_TRIES
    assert not reached


@pytest.mark.slow
async def test_an_exchange_that_is_not_there_ends_a_start_after_five_tries(tmp_path: Path) -> None:
    code, words = await ended(tmp_path, exchange__rest_url="http://127.0.0.1:9", exchange__speed="1")
    assert code == 1
    assert "cannot reach 127.0.0.1:9" in words


async def test_bars_that_do_not_exist_end_a_start_with_code_2(tmp_path: Path) -> None:
    async with answering(400, '{"code":-1121,"msg":"Invalid symbol."}') as (url, asked):
        code, _ = await ended(tmp_path, market__rest_url=url)
    assert code == 2
    assert len(asked) == 1


async def test_a_start_under_a_ban_asks_once_and_hears_a_stop(tmp_path: Path) -> None:
    async with exchange(tmp_path, speed=1) as there:
        await there.arm("ban", duration_ms=120_000)
        here = await launch(tmp_path, there)
        try:
            told = await here.told("exchange.unanswered")
            assert "banned" in str(told["why"])
            assert float(str(told["next_s"])) > 60  # the end of the ban is waited for: asking makes it longer
            assert await here.stop(signal.SIGTERM, seconds=10) == 1
        finally:
            await here.kill()
    assert here.count("exchange.unanswered") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sets", "code", "sentence"),
    [
        ({}, 0, "ok   exchange   1 symbols; the account has 10000"),
        ({"market": "perp"}, 0, "ok   feed       binance feed tells"),
        ({"market__symbols": "FOO/USDT"}, 2, "FOOUSDT is not among"),
        ({"exchange__rest_url": "http://127.0.0.1:9"}, 1, "cannot reach 127.0.0.1:9"),
        ({"market__stream_url": "ws://127.0.0.1:9/stream"}, 1, "is market.stream_url right?"),
        ({"market__rest_url": "http://127.0.0.1:9"}, 1, "is market.rest_url right?"),
    ],
)
async def test_check_online_says_what_a_start_would_find_and_orders_nothing(
    sets: dict[str, str], code: int, sentence: str, tmp_path: Path
) -> None:
    async with exchange(tmp_path, speed=1) as there:
        told, words = await checked(tmp_path, there, exchange__speed="1", **sets)
        assert told == code, words
        assert sentence in words
        truth = await there.truth()
    assert truth["spot"]["orders"] == truth["perp"]["orders"] == []


@pytest.mark.slow
async def test_check_online_names_a_key_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.driver.KEYS", {"KLINED_EXCHANGE__API_KEY": "nobody", "KLINED_EXCHANGE__API_SECRET": "no"})
    async with exchange(tmp_path, speed=1) as there:
        code, words = await checked(tmp_path, there, exchange__speed="1")
    assert code == 2, words
    assert "the exchange refuses this API key" in words
