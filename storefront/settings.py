"""What can be set, and what it is when it is not.

One frozen section per room; every setting is an environment variable `STOREFRONT_<NAME>` with the
name of its field. All are checked before anything starts: a wrong one stops the process with one
line that names it. Nothing else reads the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from storefront.errors import SettingsError

PREFIX = "STOREFRONT_"

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "EdDSA"]

# A secret shorter than its hash can be guessed offline from one token (RFC 7518 section 3.2).
SHORTEST_SECRET = 32


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one room."""


class ServingSettings(Section, frozen=True, kw_only=True):
    """serving/: the listening socket and the writes to it."""

    bind: str = "127.0.0.1:8080"
    drain: Annotated[float, Meta(ge=0, le=600)] = 10.0  # seconds to end all streams at shutdown
    send_timeout: Seconds = 10.0  # one write may take this long, then the connection is cut
    tls_cert: str | None = None  # PEM files; both or neither
    tls_key: str | None = None
    workers: Annotated[int, Meta(ge=1, le=64)] = 1


class StreamSettings(Section, frozen=True, kw_only=True):
    """realtime/: who may listen, and how often they hear that we live."""

    heartbeat: Seconds = 30.0
    max_streams: Positive = 20_000  # at the bound a browser is told `busy`
    max_streams_per_customer: Positive = 20  # at the bound the oldest is told `superseded`


class StoreSettings(Section, frozen=True, kw_only=True):
    """store/: the log."""

    data_dir: str = ".data"
    redis_url: str | None = None
    replay_window: Seconds = 300.0  # the Product Owner's five minutes


class MessagingSettings(Section, frozen=True, kw_only=True):
    """messaging/: RabbitMQ and our queue on it (contracts.md section 4.1)."""

    rabbitmq_url: str | None = None
    prefetch: Annotated[int, Meta(ge=1, le=10_000)] = 100  # what the .NET service used
    queue_notifications: str = "storefront-notifications"
    queue_notifications_arguments: Mapping[str, str | int] = msgspec.field(
        default_factory=lambda: {"x-dead-letter-exchange": "wolverine-dead-letter-queue"}
    )
    queue_notifications_exchanges: tuple[str, ...] = ()
    dead_letter_queue: str = "wolverine-dead-letter-queue"


class ServicesSettings(Section, frozen=True, kw_only=True):
    """downstream/: where the neighbours are (contracts.md section 2)."""

    shopping_url: str = "http://127.0.0.1:5236"
    orders_url: str = "http://127.0.0.1:5231"
    question_timeout: Seconds = 2.0  # seconds for one question the consumer asks


class AuthSettings(Section, frozen=True, kw_only=True):
    """web/auth: whose token is believed."""

    jwt_secret: str | None = None
    jwt_public_key: str | None = None  # PEM text, or a path to it
    jwt_algorithms: tuple[Algorithm, ...] = ()  # empty: HS256 with a secret; said with a key
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_leeway: Annotated[float, Meta(ge=0, le=300)] = 0.0  # seconds of clock difference allowed
    cookie_name: str = "__Host-storefront"
    cors_origins: tuple[str, ...] = ()


class LogSettings(Section, frozen=True, kw_only=True):
    """telemetry/: what is said on standard error."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"  # auto: console on a terminal


class Settings(Section, frozen=True, kw_only=True):
    """All sections."""

    serving: ServingSettings = ServingSettings()
    streams: StreamSettings = StreamSettings()
    store: StoreSettings = StoreSettings()
    messaging: MessagingSettings = MessagingSettings()
    services: ServicesSettings = ServicesSettings()
    auth: AuthSettings = AuthSettings()
    logs: LogSettings = LogSettings()


_SECTIONS: dict[str, type[Section]] = {
    "serving": ServingSettings,
    "streams": StreamSettings,
    "store": StoreSettings,
    "messaging": MessagingSettings,
    "services": ServicesSettings,
    "auth": AuthSettings,
    "logs": LogSettings,
}
_SECRETS = frozenset({"jwt_secret", "rabbitmq_url", "redis_url"})
_URLS = {
    "rabbitmq_url": ("amqp", "amqps"),
    "redis_url": ("redis", "rediss", "unix"),
    "shopping_url": ("http", "https"),
    "orders_url": ("http", "https"),
}
_JSON_FIELDS = frozenset({"queue_notifications_arguments"})


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises:
        SettingsError: one line naming the variable that cannot be used, or is not known.
    """
    given = {key[len(PREFIX) :].lower(): value for key, value in environ.items() if _ours(key)}
    sections = {name: _section(kind, given) for name, kind in _SECTIONS.items()}
    if given:
        # A misspelt setting would otherwise be the default, silently.
        raise SettingsError(f"{PREFIX}{min(given).upper()}: there is no such setting")
    settings = Settings(**sections)  # type: ignore[arg-type] # the table says which is which
    _check_together(settings)
    return settings


def describe(settings: Settings) -> dict[str, str]:
    """Every variable and what is in force, secrets masked."""
    told: dict[str, str] = {}
    for name in _SECTIONS:
        section = getattr(settings, name)
        for field in section.__struct_fields__:
            told[_variable(field)] = _masked(field, getattr(section, field))
    return told


def _ours(key: str) -> bool:
    return key.startswith(PREFIX)


def _section(kind: type[Section], given: dict[str, str]) -> Section:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in given:
            raw = given.pop(field.name)
            try:
                values[field.name] = _value(field, raw)
            except (msgspec.MsgspecError, ValueError) as exc:
                raise SettingsError(f"{_variable(field.name)}: {exc}") from exc
    return kind(**values)


def _value(field: msgspec.structs.FieldInfo, raw: str) -> object:
    if field.name in _JSON_FIELDS:
        return msgspec.json.decode(raw, type=field.type)
    if str(field.type).startswith("tuple"):
        items = [part.strip() for part in raw.split(",") if part.strip()]
        return msgspec.convert(items, field.type, strict=False)
    value = msgspec.convert(raw, field.type, strict=False)
    if field.name in _URLS and isinstance(value, str):
        parts = urlsplit(value)
        if parts.scheme not in _URLS[field.name] or not (parts.netloc or parts.path):
            raise ValueError(f"expected a URL of {' or '.join(_URLS[field.name])}")
    return value


def _check_together(settings: Settings) -> None:
    auth, serving = settings.auth, settings.serving
    if (serving.tls_cert is None) != (serving.tls_key is None):
        raise SettingsError("STOREFRONT_TLS_CERT: set it and STOREFRONT_TLS_KEY, or neither")
    if auth.jwt_secret is not None and len(auth.jwt_secret.encode()) < SHORTEST_SECRET:
        raise SettingsError(f"STOREFRONT_JWT_SECRET: at least {SHORTEST_SECRET} bytes are needed")
    if auth.jwt_secret is not None and auth.jwt_public_key is not None:
        raise SettingsError("STOREFRONT_JWT_PUBLIC_KEY: set it or STOREFRONT_JWT_SECRET, not both")
    if any(not name.startswith("HS") for name in auth.jwt_algorithms) and auth.jwt_secret:
        raise SettingsError("STOREFRONT_JWT_ALGORITHMS: a secret goes with HS256, HS384, HS512")
    if any(name.startswith("HS") for name in auth.jwt_algorithms) and auth.jwt_public_key:
        # The classic forgery: a public key taken for a secret.
        raise SettingsError("STOREFRONT_JWT_ALGORITHMS: a public key does not go with HS…")
    if auth.jwt_public_key and not auth.jwt_algorithms:
        raise SettingsError("STOREFRONT_JWT_ALGORITHMS: say which, e.g. RS256, ES256 or EdDSA")
    for origin in auth.cors_origins:
        _check_origin(origin)
    if serving.workers > 1 and settings.store.redis_url is None:
        raise SettingsError("STOREFRONT_WORKERS: more than one needs STOREFRONT_REDIS_URL")


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    exact = f"{parts.scheme}://{parts.netloc}"
    if origin == "*":
        raise SettingsError("STOREFRONT_CORS_ORIGINS: * does not go together with cookies")
    if parts.scheme not in {"http", "https"} or not parts.netloc or origin != exact:
        raise SettingsError(f"STOREFRONT_CORS_ORIGINS: {origin!r} is not scheme://host[:port]")


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _masked(field: str, value: object) -> str:
    if value is None:
        return ""
    if field in _SECRETS:
        parts = urlsplit(str(value))
        if parts.hostname:
            port = f":{parts.port}" if parts.port else ""
            return f"{parts.scheme}://***@{parts.hostname}{port}{parts.path}"
        return "***"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return str(value)
