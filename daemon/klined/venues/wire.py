"""One request, one answer: ccxt signs and words it, this sends it, and `classify` says what came of it.

    ccxt's implicit or unified call ─ sign ─▶ fetch (replaced) ─▶ governor ─▶ socket ─▶ classify ─┬─▶ data
                                                                                                  ├─▶ Refusal
                                                                                                  └─▶ Doubt
ccxt's own fetch, its retries, its throttle and its exception classes are out of the way. What writes is never sent
twice; what only reads is asked again at once when its answer was lost. Redirects are not followed (they would carry
the key elsewhere), and an answer has a largest size.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from klined.errors import ConfigError, Rejected, Unknown
from klined.ports import Clock
from klined.venues.classify import Answer, Doubtful, NoAnswer, Passed, Refused, Rules, classify
from klined.venues.governor import Governor

if TYPE_CHECKING:
    import aiohttp

ANSWER_BYTES_MAX = 32 << 20  # exchangeInfo of all symbols has some 20 MB
TIMEOUT_S = 10.0
READ_TRIES = 3  # a look at an account is a dozen reads, and of no use when one is missing

_urgent: ContextVar[bool] = ContextVar("urgent", default=False)

Weigh = Callable[[str, str, str], int]
"""Weight of a request by method, path and query or form."""


class Refusal(Rejected):
    """Certainly not done; `proof` says why and what it asks for."""

    def __init__(self, proof: Refused) -> None:
        super().__init__(proof.why)
        self.proof = proof


class Doubt(Unknown):
    """Sent, and nobody can tell."""


class Wire:
    """Sends for one ccxt exchange object; `posts` counts orders and other writes that left."""

    def __init__(
        self, rules: Rules, governor: Governor, clock: Clock, *, weigh: Weigh, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.rules, self.governor, self.timeout_s = rules, governor, timeout_s
        self.posts = 0
        self._clock, self._weigh = clock, weigh
        self._session: aiohttp.ClientSession | None = None

    @contextmanager
    def urgent(self) -> Iterator[Self]:
        """Requests begun inside, by this task, may use the reserve."""
        token = _urgent.set(True)
        try:
            yield self
        finally:
            _urgent.reset(token)

    def blocked_s(self) -> float:
        """How long the exchange wants to hear nothing from us; 0 when it does not mind."""
        return max(0.0, self.governor.blocked_until_s - self._clock.monotonic_s())

    async def fetch(self, url: str, method: str, headers: Mapping[str, str] | None, body: str | None) -> object:
        """Send once; a GET whose answer was quickly lost, READ_TRIES times at most.

        Raises:
            Refusal: certainly not done, or not sent for want of weight.
            Doubt: it may have been done.
        """
        patient_s = self._clock.monotonic_s() + self.timeout_s / 2
        for _ in range(READ_TRIES - 1 if method == "GET" else 0):
            try:
                return await self._fetch(url, method, headers, body)
            except Doubt:
                if self._clock.monotonic_s() >= patient_s:
                    raise
        return await self._fetch(url, method, headers, body)

    async def _fetch(self, url: str, method: str, headers: Mapping[str, str] | None, body: str | None) -> object:
        parts = urlsplit(url)
        now_s = self._clock.monotonic_s()
        weight = self._weigh(method, parts.path, parts.query or body or "")
        wait_s = self.governor.wait_s(weight, now_s, urgent=_urgent.get())
        if wait_s:
            why = self.governor.blocked(now_s) or f"the request weight of this minute is used up for {wait_s:.0f} s"
            raise Refusal(Refused("", why))
        if method == "POST":
            self.posts += 1
        outcome = await self._send(url, method, headers or {}, body)
        if isinstance(outcome, Answer):
            self.governor.hear(outcome.status, outcome.headers, self._clock.monotonic_s())
        match classify(outcome, self.rules):
            case Passed(data):
                return data
            case Refused() as proof:
                raise Refusal(proof)
            case Doubtful(why):
                raise Doubt(why)

    async def _send(self, url: str, method: str, headers: Mapping[str, str], body: str | None) -> Answer | NoAnswer:
        import aiohttp  # noqa: PLC0415  # 14 MB that paper trading does without
        import yarl  # noqa: PLC0415  # comes with it

        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=self.timeout_s / 2)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            async with self._session.request(
                method,
                yarl.URL(url, encoded=True),  # signed as it is: nothing may be quoted anew
                headers=headers,
                data=body.encode() if body else None,
                allow_redirects=False,
            ) as response:
                raw = await response.content.read(ANSWER_BYTES_MAX)
                while not response.content.at_eof() and len(raw) < ANSWER_BYTES_MAX:
                    raw += await response.content.read(ANSWER_BYTES_MAX - len(raw))
                if not response.content.at_eof():
                    return NoAnswer(sent=True, why=f"an answer of more than {ANSWER_BYTES_MAX} bytes")
                return Answer(response.status, raw, {name.lower(): text for name, text in response.headers.items()})
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ssl.SSLCertVerificationError) as error:
            return NoAnswer(sent=False, why=f"cannot reach {urlsplit(url).netloc}: {_words(error)}")
        except TimeoutError:
            return NoAnswer(sent=True, why=f"no answer within {self.timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return NoAnswer(sent=True, why=f"the answer was lost: {_words(error)}")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _words(error: Exception) -> str:
    """What an error of the transport says, without the URL that some carry."""
    reason = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    text = str(reason) or type(error).__name__
    return text.partition("url=")[0].rstrip(" ,") or type(error).__name__


def exchange_of(name: str, wire: Wire, clock: Clock, config: Mapping[str, object]) -> Any:
    """The ccxt object of exchange `name` that sends through `wire` and signs by `clock`.

    Raises:
        ConfigError: ccxt is not installed, or knows no such exchange.
    """
    try:
        import ccxt.async_support as library  # noqa: PLC0415 - 780 kB and 0.6 s, only for whoever trades there
    except ImportError as error:
        raise ConfigError("orders at an exchange need ccxt: pip install 'klined[live]'") from error
    known = getattr(library, name, None)
    if name not in library.exchanges or known is None:
        raise ConfigError(f"market.exchange {name!r} is none that ccxt knows; see its list of exchanges")

    class Wired(known):  # type: ignore[misc, valid-type]  # the class is known at run time only
        async def fetch(
            self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: str | None = None
        ) -> object:
            return await wire.fetch(url, method, headers, body)

        def nonce(self) -> int:
            return clock.now_ms()

    made = Wired({"enableRateLimit": False, **config})
    made.options["adjustForTimeDifference"] = False
    return made
