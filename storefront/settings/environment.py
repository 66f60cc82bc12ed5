"""What can be set, and what it is when it is not.

One frozen section per room; every setting is an environment variable `STOREFRONT_<NAME>` with the
name of its field. All are checked before anything starts: a wrong one stops the process with one
line that names it. Nothing else reads the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from storefront.errors import SettingsError

PREFIX = "STOREFRONT_"

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
# An empty value is a template that was not filled in: an audience of "" would be one nobody checks.
Text = Annotated[str, Meta(min_length=1)]
# RFC 6265 section 4.1.1; any other name is one that no browser sends back.
CookieName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "EdDSA"]

# A secret shorter than its hash can be guessed offline from one token (RFC 7518 section 3.2).
SHORTEST_SECRET = 32


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one room."""


class ServingSettings(Section, frozen=True, kw_only=True):
    """serving/: the listening socket and the writes to it."""

    bind: Text = "127.0.0.1:8080"
    drain: Annotated[float, Meta(ge=0, le=600)] = 10.0  # seconds to end all streams at shutdown
    send_timeout: Seconds = 10.0  # one write may take this long, then the connection is cut
    tls_cert: Text | None = None  # PEM files; both or neither
    tls_key: Text | None = None
    workers: Annotated[int, Meta(ge=1, le=64)] = 1


class StreamSettings(Section, frozen=True, kw_only=True):
    """realtime/: who may listen, and how often they hear that we live."""

    heartbeat: Seconds = 30.0
    max_streams: Positive = 20_000  # at the bound a browser is told `busy`
    max_streams_per_customer: Positive = 20  # at the bound the oldest is told `superseded`


class StoreSettings(Section, frozen=True, kw_only=True):
    """store/: the log."""

    data_dir: Text = ".data"
    redis_url: Text | None = None
    replay_window: Seconds = 300.0  # the Product Owner's five minutes


class MessagingSettings(Section, frozen=True, kw_only=True):
    """messaging/: RabbitMQ and our queue on it (contracts.md section 4.1)."""

    rabbitmq_url: Text | None = None
    prefetch: Annotated[int, Meta(ge=1, le=10_000)] = 100  # what the .NET service used
    queue_notifications: Text = "storefront-notifications"
    queue_notifications_arguments: Mapping[str, str | int] = msgspec.field(
        default_factory=lambda: {"x-dead-letter-exchange": "wolverine-dead-letter-queue"}
    )
    queue_notifications_exchanges: tuple[str, ...] = ()
    dead_letter_queue: Text = "wolverine-dead-letter-queue"


class ServicesSettings(Section, frozen=True, kw_only=True):
    """downstream/: where the neighbours are (contracts.md section 2)."""

    shopping_url: Text = "http://127.0.0.1:5236"
    orders_url: Text = "http://127.0.0.1:5231"
    question_timeout: Seconds = 2.0  # seconds for one question the consumer asks


class AuthSettings(Section, frozen=True, kw_only=True):
    """web/auth: whose token is believed."""

    jwt_secret: Text | None = None
    jwt_public_key: Text | None = None  # PEM text, or a path to it
    jwt_algorithms: tuple[Algorithm, ...] = ()  # empty: HS256 with a secret; said with a key
    jwt_issuer: Text | None = None
    jwt_audience: Text | None = None
    jwt_leeway: Annotated[float, Meta(ge=0, le=300)] = 0.0  # seconds of clock difference allowed
    cookie_name: CookieName = "__Host-storefront"
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
_URLS = {
    "rabbitmq_url": ("amqp", "amqps"),
    "redis_url": ("redis", "rediss", "unix"),
    "shopping_url": ("http", "https"),
    "orders_url": ("http", "https"),
}
_JSON_FIELDS = frozenset({"queue_notifications_arguments"})
_PEM = "-----BEGIN"
# As browsers write it: lower case, punycode, no path, no default port. Any other never matches.
_ORIGIN = re.compile(r"(https?)://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+])(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}
# What Kubernetes tells a pod about a Service that happens to be named `storefront`.
_SERVICE_LINK = re.compile(r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://.*")


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises:
        SettingsError: one line naming the variable that cannot be used, or is not known.
    """
    given = {key[len(PREFIX) :]: value for key, value in environ.items() if _ours(key, value)}
    sections = {name: _section(kind, given) for name, kind in _SECTIONS.items()}
    if given:
        # A misspelt setting would otherwise be the default, silently.
        raise SettingsError(f"{PREFIX}{min(given)}: there is no such setting")
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


def _ours(key: str, value: str) -> bool:
    if not key.startswith(PREFIX):
        return False
    name = key[len(PREFIX) :]
    linked = _SERVICE_LINK.fullmatch(name) or (name == "PORT" and _SERVICE_URL.match(value))
    return not linked


def _section(kind: type[Section], given: dict[str, str]) -> Section:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        raw = given.pop(field.name.upper(), None)
        if raw is None:
            continue
        try:
            values[field.name] = _value(field, raw)
        except (ValueError, RecursionError) as exc:  # msgspec's own errors are ValueErrors
            raise SettingsError(f"{_variable(field.name)}: {exc}") from exc
    return kind(**values)


def _value(field: msgspec.structs.FieldInfo, raw: str) -> object:
    if field.name in _JSON_FIELDS:
        return msgspec.json.decode(raw, type=field.type)
    if str(field.type).startswith("tuple"):
        items = [_clean(part.strip()) for part in raw.split(",") if part.strip()]
        return msgspec.convert(items, field.type, strict=False)
    if field.name in _URLS:
        _check_url(raw, _URLS[field.name])
    return msgspec.convert(_clean(raw), field.type, strict=False)


def _clean(raw: str) -> str:
    # A file read into a variable brings its line end along, and a secret with a line end is another
    # secret.
    pem = _PEM in raw and raw.isascii()
    if not pem and (raw != raw.strip() or not raw.isprintable()):
        raise ValueError("it has white space at an end, or a character that cannot be printed")
    return raw


def _check_url(url: str, schemes: tuple[str, ...]) -> None:
    # In words of our own, which hold nothing of it: there may be a password in any part of it.
    hint = f"expected a URL of {' or '.join(schemes)}; in a password, percent-encode @ : / ? #"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and (parts.scheme == "unix" or bool(parts.hostname))
        usable = usable and parts.port != 0
    except ValueError:
        raise ValueError(hint) from None
    misplaced = "@" in parts.path + parts.query + parts.fragment
    unused = "http" in schemes and bool(parts.query or parts.fragment)
    if not usable or misplaced or unused or re.search(r"[^!-~]", url):
        raise ValueError(hint)


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
    if origin == "*":
        raise SettingsError("STOREFRONT_CORS_ORIGINS: * does not go together with cookies")
    found = _ORIGIN.fullmatch(origin)
    if found is None or found.groups() in _DEFAULT_PORTS:
        raise SettingsError(
            f"STOREFRONT_CORS_ORIGINS: {origin!r} is not scheme://host[:port] as browsers write it"
        )


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _masked(field: str, value: object) -> str:
    if value is None:
        return ""
    if field == "jwt_secret":
        return "***"
    if field in _URLS:
        return _masked_url(str(value), _URLS[field])
    shown = _shown(value)
    # Many lines, and perhaps those of the wrong key, the private one.
    return "(PEM text)" if _PEM in shown else shown


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return str(value)


def _masked_url(url: str, schemes: tuple[str, ...]) -> str:
    """A URL without its user, its password and its query; of one that is none, nothing."""
    try:
        _check_url(url, schemes)
    except ValueError:
        return "***"
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    shown = f"{parts.scheme}://{'***' if user else ''}{at}{host}{parts.path}"
    return f"{shown}?***" if parts.query or parts.fragment else shown
