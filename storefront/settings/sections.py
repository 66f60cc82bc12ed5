"""Every setting, its kind and its default: one frozen section per room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
# An empty value is a template that was not filled in: an audience of "" would be one nobody checks.
Text = Annotated[str, Meta(min_length=1)]
# RFC 6265 section 4.1.1; any other name is one that no browser sends back.
CookieName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "EdDSA"]

# A secret shorter than its hash can be guessed offline from one token (RFC 7518 section 3.2).
SHORTEST_SECRET = 32

Arguments = Mapping[str, str | int]


def _wolverines() -> Arguments:
    # Exactly what Wolverine declares (contracts.md section 4.1): a broker refuses any other.
    return {"x-dead-letter-exchange": "wolverine-dead-letter-queue"}


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
    metrics_bind: Text | None = None  # host:port of /metrics alone; worker k on port + k


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
    """messaging/: RabbitMQ and our queues on it (contracts.md sections 1 and 4.1)."""

    rabbitmq_url: Text | None = None
    prefetch: Annotated[int, Meta(ge=1, le=10_000)] = 100  # what the .NET service used
    queue_notifications: Text = "storefront-notifications"
    queue_notifications_arguments: Arguments = msgspec.field(default_factory=_wolverines)
    queue_notifications_exchanges: tuple[str, ...] = ()
    queue_fulfillment: Text = "storefront-fulfillment-events"
    queue_fulfillment_arguments: Arguments = msgspec.field(default_factory=_wolverines)
    queue_fulfillment_exchanges: tuple[str, ...] = ()
    queue_returns: Text = "storefront-returns-events"
    queue_returns_arguments: Arguments = msgspec.field(default_factory=_wolverines)
    queue_returns_exchanges: tuple[str, ...] = ()
    dead_letter_queue: Text = "wolverine-dead-letter-queue"


class ServicesSettings(Section, frozen=True, kw_only=True):
    """downstream/: where the neighbours are (contracts.md section 2), and how patient we are."""

    shopping_url: Text = "http://127.0.0.1:5236"
    orders_url: Text = "http://127.0.0.1:5231"
    catalog_url: Text = "http://127.0.0.1:5133"
    customer_identity_url: Text = "http://127.0.0.1:5235"
    payments_url: Text = "http://127.0.0.1:5232"
    fulfillment_url: Text = "http://127.0.0.1:5234"
    pricing_url: Text | None = None  # unset: prices in listings are unknown
    inventory_url: Text | None = None  # unset: so is the stock
    question_timeout: Seconds = 2.0  # one question in all, waiting and a second attempt included
    command_timeout: Seconds = 5.0  # one command in all; beyond it the outcome is unknown
    attempt_timeout: Seconds = 0.35  # one attempt at Shopping or Orders, whom a view is about
    enrichment_timeout: Seconds = 0.25  # one attempt at the others, without whom a view has holes
    connect_timeout: Seconds = 0.15  # of an attempt, until the connection stands, TLS included
    # One HTTP pool slows down beyond ten (hazards H12b). At the bound questions wait their turn.
    connections_per_service: Annotated[int, Meta(ge=1, le=100)] = 10
    retry_share: Share = 0.1  # of the questions of ten seconds may be asked twice
    breaker_share: Annotated[float, Meta(gt=0, le=1)] = 0.5  # of attempts failed, to stop asking
    breaker_calls: Positive = 20  # ... once there were that many
    breaker_window: Seconds = 10.0  # ... in so many seconds
    breaker_connections: Positive = 5  # or so many failures to connect in a row
    breaker_open: Seconds = 5.0  # seconds without a question, give or take a fifth; then twice that
    breaker_longest: Seconds = 60.0  # ... up to this
    breaker_probes: Annotated[int, Meta(ge=1, le=100)] = 3  # must succeed before all may ask again


class ViewSettings(Section, frozen=True, kw_only=True):
    """queries/: how long a view may take, and how long its answers are kept."""

    view_deadline: Seconds = 1.0  # seconds within which every view answers
    fan_out: Annotated[int, Meta(ge=1, le=1000)] = 10  # questions of one view at the same time
    lines_per_cart: Positive = 100  # shown; a longer cart says that it is
    max_queries: Positive = 200  # views composed at once; at the bound an old answer, or 503
    query_lag: Seconds = 0.25  # of the loop; beyond it queries go the same way, for the streams
    query_rate: Positive = 100  # requests per second of one customer, ten times that at once; 429
    cache_fresh: Seconds = 30.0  # a view is answered from the cache, give or take a tenth
    cache_kept: Seconds = 600.0  # ... and when a source fails
    products_fresh: Seconds = 300.0  # a product, which all customers share
    prices_fresh: Seconds = 30.0  # ... what it costs
    stock_fresh: Seconds = 5.0  # ... how many there are, of which nothing old is shown
    cache_negative: Seconds = 10.0  # that there is no such product
    cache_bytes: Annotated[int, Meta(ge=1024, le=2**40)] = 64 * 1024 * 1024  # then the oldest goes
    cache_read_timeout: Seconds = 0.1  # Redis slower than this is a miss
    cache_write_timeout: Seconds = 0.25  # ... and nothing is kept


class AuthSettings(Section, frozen=True, kw_only=True):
    """web/auth: whose token is believed."""

    jwt_secret: Text | None = None
    jwt_public_key: Text | None = None  # PEM text, or a path to it
    jwt_jwks_url: Text | None = None  # where the identity service publishes its keys (RFC 7517)
    jwt_algorithms: tuple[Algorithm, ...] = ()  # empty: HS256 with a secret; said with keys
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
    views: ViewSettings = ViewSettings()
    auth: AuthSettings = AuthSettings()
    logs: LogSettings = LogSettings()
