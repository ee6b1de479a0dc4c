"""Keys stay in this process: masked on every way out, never in a core dump, and better not in the environment."""

import resource

import structlog
from msgspec.structs import replace

from klined.config import masks
from klined.config.settings import Settings
from klined.domain import Event, Record

log = structlog.get_logger()


def protect(settings: Settings) -> None:
    """Hide the exchange's keys from everything that goes out; say so when others may read where they came from."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    for name in ("api_key", "api_secret"):
        secret = getattr(settings.exchange, name)
        if secret is None:
            continue
        masks.hide(secret.get_secret_value())
        if (origin := settings.origin(f"exchange.{name}")).startswith("$"):
            log.warning(
                "secret.exposed", where=origin, hint="child processes inherit it; a credential is read only here"
            )


def without_secrets(record: Record) -> Record:
    """The record as it may be stored: what a venue said of a request may quote the request."""
    return replace(
        record,
        inputs=tuple(replace(told, body=masks.masked_bytes(told.body)) for told in record.inputs),
        orders=tuple((client_id, masks.masked_bytes(state)) for client_id, state in record.orders),
        events=tuple(_clean(event) for event in record.events),
    )


def _clean(event: Event) -> Event:
    data = {key: masks.masked(value) if isinstance(value, str) else value for key, value in event.data.items()}
    return replace(event, data=data)
