"""Settings as a careless operator writes them: every wrong one stops with one line that names it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.errors import SettingsError
from storefront.settings import (
    MessagingSettings,
    Settings,
    StoreSettings,
    describe,
    from_environment,
    metrics_address,
)

SECRET = "a secret of at least thirty-two bytes"
PEM = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
JWKS = "https://login.shop.example/keys"

# Every variable: what may be set, how `describe` shows it, and what else must be set with it.
SAMPLES: dict[str, tuple[str, str, dict[str, str]]] = {
    "BIND": ("0.0.0.0:80", "0.0.0.0:80", {}),
    "DRAIN": ("0", "0.0", {}),
    "SEND_TIMEOUT": ("2.5", "2.5", {}),
    "TLS_CERT": ("/tls/cert.pem", "/tls/cert.pem", {"TLS_KEY": "/tls/key.pem"}),
    "TLS_KEY": ("/tls/key.pem", "/tls/key.pem", {"TLS_CERT": "/tls/cert.pem"}),
    "WORKERS": ("2", "2", {"REDIS_URL": "redis://cache"}),
    "METRICS_BIND": ("10.0.0.1:9090", "10.0.0.1:9090", {}),
    "HEARTBEAT": ("15", "15.0", {}),
    "MAX_STREAMS": ("5000", "5000", {}),
    "MAX_STREAMS_PER_CUSTOMER": ("3", "3", {}),
    "DATA_DIR": ("/var/lib/storefront", "/var/lib/storefront", {}),
    "REDIS_URL": ("rediss://:pw@cache:6380/1", "rediss://***@cache:6380/1", {}),
    "REPLAY_WINDOW": ("60", "60.0", {}),
    "RABBITMQ_URL": ("amqps://me:pw@rabbit:5671/vh", "amqps://***@rabbit:5671/vh", {}),
    "PREFETCH": ("10", "10", {}),
    "QUEUE_NOTIFICATIONS": ("mine", "mine", {}),
    "QUEUE_NOTIFICATIONS_ARGUMENTS": (
        '{"x-queue-type": "quorum", "x-message-ttl": 60000}',
        '{"x-queue-type":"quorum","x-message-ttl":60000}',
        {},
    ),
    "QUEUE_NOTIFICATIONS_EXCHANGES": (
        "orders-events, shopping-events",
        "orders-events,shopping-events",
        {},
    ),
    "QUEUE_FULFILLMENT": ("mine", "mine", {}),
    "QUEUE_FULFILLMENT_ARGUMENTS": (
        '{"x-queue-type": "quorum", "x-message-ttl": 60000}',
        '{"x-queue-type":"quorum","x-message-ttl":60000}',
        {},
    ),
    "QUEUE_FULFILLMENT_EXCHANGES": (
        "orders-events, shopping-events",
        "orders-events,shopping-events",
        {},
    ),
    "QUEUE_RETURNS": ("mine", "mine", {}),
    "QUEUE_RETURNS_ARGUMENTS": (
        '{"x-queue-type": "quorum", "x-message-ttl": 60000}',
        '{"x-queue-type":"quorum","x-message-ttl":60000}',
        {},
    ),
    "QUEUE_RETURNS_EXCHANGES": (
        "orders-events, shopping-events",
        "orders-events,shopping-events",
        {},
    ),
    "DEAD_LETTER_QUEUE": ("dead", "dead", {}),
    "SHOPPING_URL": ("http://shopping:5236", "http://shopping:5236", {}),
    "ORDERS_URL": ("https://orders/base", "https://orders/base", {}),
    "CATALOG_URL": ("http://catalog.internal", "http://catalog.internal", {}),
    "CUSTOMER_IDENTITY_URL": (
        "http://customer-identity.internal",
        "http://customer-identity.internal",
        {},
    ),
    "PAYMENTS_URL": ("http://payments.internal", "http://payments.internal", {}),
    "FULFILLMENT_URL": ("http://fulfillment.internal", "http://fulfillment.internal", {}),
    "PRICING_URL": ("http://pricing.internal", "http://pricing.internal", {}),
    "INVENTORY_URL": ("http://inventory.internal", "http://inventory.internal", {}),
    "QUESTION_TIMEOUT": ("0.5", "0.5", {}),
    "COMMAND_TIMEOUT": ("30", "30.0", {}),
    "ATTEMPT_TIMEOUT": ("0.5", "0.5", {}),
    "ENRICHMENT_TIMEOUT": ("0.1", "0.1", {}),
    "CONNECT_TIMEOUT": ("1", "1.0", {}),
    "CONNECTIONS_PER_SERVICE": ("5", "5", {}),
    "RETRY_SHARE": ("0", "0.0", {}),
    "BREAKER_SHARE": ("1", "1.0", {}),
    "BREAKER_CALLS": ("100", "100", {}),
    "BREAKER_WINDOW": ("60", "60.0", {}),
    "BREAKER_CONNECTIONS": ("10", "10", {}),
    "BREAKER_OPEN": ("1", "1.0", {}),
    "BREAKER_LONGEST": ("30", "30.0", {}),
    "BREAKER_PROBES": ("1", "1", {}),
    "VIEW_DEADLINE": ("0.5", "0.5", {}),
    "FAN_OUT": ("5", "5", {}),
    "LINES_PER_CART": ("50", "50", {}),
    "MAX_QUERIES": ("100", "100", {}),
    "QUERY_LAG": ("0.1", "0.1", {}),
    "QUERY_RATE": ("20", "20", {}),
    "CACHE_FRESH": ("10", "10.0", {}),
    "CACHE_KEPT": ("60", "60.0", {}),
    "PRODUCTS_FRESH": ("60", "60.0", {}),
    "PRICES_FRESH": ("10", "10.0", {}),
    "STOCK_FRESH": ("1", "1.0", {}),
    "CACHE_NEGATIVE": ("5", "5.0", {}),
    "CACHE_BYTES": ("1048576", "1048576", {}),
    "CACHE_READ_TIMEOUT": ("0.2", "0.2", {}),
    "CACHE_WRITE_TIMEOUT": ("0.5", "0.5", {}),
    "JWT_SECRET": (SECRET, "***", {}),
    "JWT_PUBLIC_KEY": (PEM, "(PEM text)", {"JWT_ALGORITHMS": "EdDSA"}),
    "JWT_JWKS_URL": (
        "https://me:pw@login.shop.example/keys",
        "https://***@login.shop.example/keys",
        {"JWT_ALGORITHMS": "RS256"},
    ),
    "JWT_ALGORITHMS": ("HS256,HS512", "HS256,HS512", {"JWT_SECRET": SECRET}),
    "JWT_ISSUER": ("https://login", "https://login", {}),
    "JWT_AUDIENCE": ("shop", "shop", {}),
    "JWT_LEEWAY": ("5", "5.0", {}),
    "COOKIE_NAME": ("storefront", "storefront", {}),
    "CORS_ORIGINS": (
        "https://www.shop.example, http://localhost:5238",
        "https://www.shop.example,http://localhost:5238",
        {},
    ),
    "LOG_LEVEL": ("debug", "debug", {}),
    "LOG_FORMAT": ("json", "json", {}),
}

# Every variable: what may not be set.
WRONG: dict[str, list[str]] = {
    "BIND": [""],
    "DRAIN": ["", "-1", "601", "nan", "inf", "ten", "10s", "true", " 10"],
    "SEND_TIMEOUT": ["0", "-1", "nan", "inf", "", "1,5"],
    "TLS_CERT": ["", "/tls/cert.pem\n"],
    "TLS_KEY": ["", "/tls/key.pem "],
    "WORKERS": ["0", "-1", "65", "1.5", "", "two", "auto", "1_0", "\uff12"],
    "METRICS_BIND": [
        "",
        "9090",
        "host:",
        "host:0",
        "host:65535",
        "host:port",
        "host:" + "9" * 5000,
        "unix:/x",
    ],
    "HEARTBEAT": ["0", "nan", "86401", "", "30 s"],
    "MAX_STREAMS": ["0", "-1", "1e9", "", "unlimited", "true"],
    "MAX_STREAMS_PER_CUSTOMER": ["0", "", "none", "1.5"],
    "DATA_DIR": ["", " .data", ".data\n", "\udcff"],
    "REDIS_URL": [
        "",
        "cache:6379",
        "http://cache",
        "redis://",
        "redis://cache:port",
        "redis://cache:70000",
        "redis://cache:0",
        "redis:// cache",
        "redis://cache\n",
    ],
    "REPLAY_WINDOW": ["0", "-300", "forever", "", "nan"],
    "RABBITMQ_URL": [
        "",
        "rabbit:5672",
        "localhost",
        "http://rabbit",
        "amqp://",
        "amqp:///vh",
        "amqp://rabbit:x",
        "amqp://[::1",
        "amqp://u:pa/ss@rabbit",
        "amqp://u:12/ss@rabbit",
        "amqp://u:pa#ss@rabbit",
        "amqp://u:pa?ss@rabbit",
        "amqp://u:p\u00e4ss@rabbit",
        "amqp://\uff0fx:ss@rabbit/",
    ],
    "PREFETCH": ["0", "10001", "", "all"],
    "QUEUE_NOTIFICATIONS": ["", " mine", "a\nb"],
    "QUEUE_NOTIFICATIONS_ARGUMENTS": [
        "",
        "{",
        "null",
        "[]",
        "x=y",
        '{"a":true}',
        '{"a":1.5}',
        '{"a":null}',
        '{"a":{"b":1}}',
        "[" * 5000,
        "\udcff",
    ],
    "QUEUE_NOTIFICATIONS_EXCHANGES": ["a,b\nc", "\udcff"],
    "QUEUE_FULFILLMENT": ["", " mine", "a\nb"],
    "QUEUE_FULFILLMENT_ARGUMENTS": [
        "",
        "{",
        "null",
        "[]",
        "x=y",
        '{"a":true}',
        '{"a":1.5}',
        '{"a":null}',
        '{"a":{"b":1}}',
        "[" * 5000,
        "\udcff",
    ],
    "QUEUE_FULFILLMENT_EXCHANGES": ["a,b\nc", "\udcff"],
    "QUEUE_RETURNS": ["", " mine", "a\nb"],
    "QUEUE_RETURNS_ARGUMENTS": [
        "",
        "{",
        "null",
        "[]",
        "x=y",
        '{"a":true}',
        '{"a":1.5}',
        '{"a":null}',
        '{"a":{"b":1}}',
        "[" * 5000,
        "\udcff",
    ],
    "QUEUE_RETURNS_EXCHANGES": ["a,b\nc", "\udcff"],
    "DEAD_LETTER_QUEUE": [""],
    "SHOPPING_URL": [
        "",
        "shopping:5236",
        "http:shopping",
        "http:///api",
        "ftp://shopping",
        "//shopping",
        "http://shopping:99999",
        "http://shop ping",
        "http://shopping?x=1",
        "http://shopping#x",
    ],
    "ORDERS_URL": ["", "orders", "amqp://orders", "http://orders:-1", "http://u:p/w@orders"],
    "CATALOG_URL": [
        "",
        "catalog",
        "http:///api",
        "amqp://catalog",
        "http://catalog:0",
        "http://u:p/w@catalog",
    ],
    "CUSTOMER_IDENTITY_URL": [
        "",
        "customer-identity",
        "http:///api",
        "amqp://customer-identity",
        "http://customer-identity:0",
        "http://u:p/w@customer-identity",
    ],
    "PAYMENTS_URL": [
        "",
        "payments",
        "http:///api",
        "amqp://payments",
        "http://payments:0",
        "http://u:p/w@payments",
    ],
    "FULFILLMENT_URL": [
        "",
        "fulfillment",
        "http:///api",
        "amqp://fulfillment",
        "http://fulfillment:0",
        "http://u:p/w@fulfillment",
    ],
    "PRICING_URL": [
        "",
        "pricing",
        "http:///api",
        "amqp://pricing",
        "http://pricing:0",
        "http://u:p/w@pricing",
    ],
    "INVENTORY_URL": [
        "",
        "inventory",
        "http:///api",
        "amqp://inventory",
        "http://inventory:0",
        "http://u:p/w@inventory",
    ],
    "QUESTION_TIMEOUT": ["0", "", "nan"],
    "COMMAND_TIMEOUT": ["0", "", "86401"],
    "ATTEMPT_TIMEOUT": ["0", "-1", "350ms"],
    "ENRICHMENT_TIMEOUT": ["0", "", "nan"],
    "CONNECT_TIMEOUT": ["0", "inf", ""],
    "CONNECTIONS_PER_SERVICE": ["0", "101", "1.5", ""],
    "RETRY_SHARE": ["-0.1", "1.1", "10%", "nan", ""],
    "BREAKER_SHARE": ["0", "1.1", "50%", "nan", ""],
    "BREAKER_CALLS": ["0", "", "0.5"],
    "BREAKER_WINDOW": ["0", "", "inf"],
    "BREAKER_CONNECTIONS": ["0", "", "never"],
    "BREAKER_OPEN": ["0", "", "61", "nan"],
    "BREAKER_LONGEST": ["0", "", "86401"],
    "BREAKER_PROBES": ["0", "101", ""],
    "VIEW_DEADLINE": ["0", "", "nan", "1 s"],
    "FAN_OUT": ["0", "1001", ""],
    "LINES_PER_CART": ["0", "", "all"],
    "MAX_QUERIES": ["0", "", "unlimited"],
    "QUERY_LAG": ["0", "", "nan"],
    "QUERY_RATE": ["0", "", "-1", "often"],
    "CACHE_FRESH": ["0", "", "nan", "601"],
    "CACHE_KEPT": ["0", "", "forever"],
    "PRODUCTS_FRESH": ["0", "", "nan"],
    "PRICES_FRESH": ["0", "", "nan"],
    "STOCK_FRESH": ["0", "", "nan"],
    "CACHE_NEGATIVE": ["0", "-1", ""],
    "CACHE_BYTES": ["0", "1023", "64M", ""],
    "CACHE_READ_TIMEOUT": ["0", "", "nan"],
    "CACHE_WRITE_TIMEOUT": ["0", "", "nan"],
    "JWT_SECRET": [
        "",
        "short",
        "x" * 31,
        SECRET + "\n",
        " " + SECRET,
        "\udcff" * 32,
        "x" * 32 + "\0",
    ],
    "JWT_PUBLIC_KEY": ["", "/key.pem\n"],
    "JWT_JWKS_URL": [
        "",
        "login.shop.example/keys",
        "/keys.json",
        "file:///keys.json",
        "https:///keys",
        "https://login:0/keys",
        "https://login/keys?kid=1",
        "https://login/keys\n",
    ],
    "JWT_ALGORITHMS": ["none", "HS256,none", "hs256", "HS", "RS256,", "HS256;HS384", "HMAC"],
    "JWT_ISSUER": ["", "https://login\n"],
    "JWT_AUDIENCE": ["", " shop"],
    "JWT_LEEWAY": ["-1", "301", "nan", ""],
    "COOKIE_NAME": ["", "a b", "a;b", "a=b", "a,b", '"a"', "m\u00fcll"],
    "CORS_ORIGINS": [
        "*",
        "https://www.shop.example,*",
        "www.shop.example",
        "https://www.shop.example/",
        "https://*.shop.example",
        "null",
        "https://WWW.shop.example",
        "https://u:p@shop.example",
        "https://shop.example:443",
        "http://shop.example:80",
        "http://shop.example:0",
        "http://shop.example:",
        "http://[",
        "https://m\u00fcll.example",
        "https://a https://b",
        "file://x",
    ],
    "LOG_LEVEL": ["", "INFO", "trace", "20"],
    "LOG_FORMAT": ["", "text", "JSON"],
}


def environment(**variables: str) -> dict[str, str]:
    return {f"STOREFRONT_{name}": value for name, value in variables.items()}


def read(**variables: str) -> Settings:
    return from_environment(environment(**variables))


def refused(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(**variables)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    return said


def fields() -> list[tuple[str, str]]:
    return [
        (section.name, field.name)
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
    ]


def test_there_is_a_sample_and_a_wrong_value_for_every_variable():
    names = {field.upper() for _, field in fields()}
    assert len(names) == len(fields())
    assert names == set(SAMPLES)
    assert names == set(WRONG)


@pytest.mark.parametrize(("section", "field"), fields(), ids=lambda name: name)
def test_every_field_is_shown_and_can_be_set(section, field):
    raw, shown, beside = SAMPLES[field.upper()]
    usual = Settings()
    found = read(**{field.upper(): raw}, **beside)
    assert getattr(getattr(found, section), field) != getattr(getattr(usual, section), field)
    assert describe(found)[f"STOREFRONT_{field.upper()}"] == shown
    others = set(describe(usual)) - {f"STOREFRONT_{name}" for name in (field.upper(), *beside)}
    assert all(describe(found)[name] == describe(usual)[name] for name in others)


@pytest.mark.parametrize(
    ("name", "raw"), [(name, raw) for name, values in WRONG.items() for raw in values], ids=ascii
)
def test_a_wrong_value_stops_with_one_line_that_names_the_variable(name, raw):
    beside = SAMPLES[name][2]
    assert refused(**{name: raw}, **beside).startswith(f"STOREFRONT_{name}: ")


def test_every_worker_has_a_port_for_its_metrics_and_one_that_is_alone_the_first():
    assert [metrics_address("[::1]:9090", worker) for worker in range(3)] == [
        "[::1]:9090",
        "[::1]:9091",
        "[::1]:9092",
    ]
    four = {"WORKERS": "4", "REDIS_URL": "redis://cache"}
    assert read(METRICS_BIND=":65531", **four).serving.metrics_bind == ":65531"
    assert refused(METRICS_BIND=":65532", **four).startswith("STOREFRONT_METRICS_BIND: ")


def test_nothing_set_is_the_default():
    assert from_environment({}) == Settings()
    assert (
        from_environment({"PATH": "/bin", "STOREFRONTX_BIND": "x", "storefront_bind": "x"})
        == Settings()
    )


def test_without_pages_of_other_origins_the_list_may_be_empty():
    assert read(CORS_ORIGINS="").auth.cors_origins == ()


@pytest.mark.parametrize(
    "name", ["HEARTBEATS", "", "bind", "Bind", "JWT-SECRET", "RABBITMQ", "SERVICE", "PORT"]
)
def test_a_variable_that_is_none_of_ours_is_named(name):
    assert refused(**{name: "x"}) == f"STOREFRONT_{name}: there is no such setting"


def test_the_first_of_several_unknown_variables_is_named():
    assert refused(ZETA="x", ALPHA="x") == "STOREFRONT_ALPHA: there is no such setting"


def test_what_kubernetes_says_of_a_service_of_our_name_is_no_setting():
    linked = environment(
        SERVICE_HOST="10.0.0.11",
        SERVICE_PORT="80",
        SERVICE_PORT_HTTP="80",
        PORT="tcp://10.0.0.11:80",
        PORT_80_TCP="tcp://10.0.0.11:80",
        PORT_80_TCP_PROTO="tcp",
        PORT_80_TCP_PORT="80",
        PORT_80_TCP_ADDR="10.0.0.11",
    )
    assert from_environment(linked) == Settings()
    assert refused(PORT="8080") == "STOREFRONT_PORT: there is no such setting"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"TLS_CERT": "c"}, "TLS_CERT"),
        ({"TLS_KEY": "k"}, "TLS_CERT"),
        (
            {"JWT_SECRET": SECRET, "JWT_PUBLIC_KEY": PEM, "JWT_ALGORITHMS": "RS256"},
            "JWT_PUBLIC_KEY",
        ),
        ({"JWT_SECRET": SECRET, "JWT_ALGORITHMS": "RS256"}, "JWT_ALGORITHMS"),
        ({"JWT_SECRET": SECRET, "JWT_ALGORITHMS": "HS256,ES256"}, "JWT_ALGORITHMS"),
        ({"JWT_PUBLIC_KEY": PEM, "JWT_ALGORITHMS": "HS256"}, "JWT_ALGORITHMS"),
        ({"BREAKER_OPEN": "60.1"}, "BREAKER_OPEN"),
        ({"BREAKER_LONGEST": "4.9"}, "BREAKER_OPEN"),
        ({"CACHE_FRESH": "601"}, "CACHE_FRESH"),
        ({"CACHE_KEPT": "29"}, "CACHE_FRESH"),
        ({"JWT_PUBLIC_KEY": PEM, "JWT_ALGORITHMS": "RS256,HS256"}, "JWT_ALGORITHMS"),
        ({"JWT_PUBLIC_KEY": PEM}, "JWT_ALGORITHMS"),
        ({"JWT_JWKS_URL": JWKS}, "JWT_ALGORITHMS"),
        ({"JWT_JWKS_URL": JWKS, "JWT_ALGORITHMS": "HS256"}, "JWT_ALGORITHMS"),
        ({"JWT_JWKS_URL": JWKS, "JWT_ALGORITHMS": "RS256,HS256"}, "JWT_ALGORITHMS"),
        ({"JWT_JWKS_URL": JWKS, "JWT_SECRET": SECRET}, "JWT_JWKS_URL"),
        (
            {"JWT_JWKS_URL": JWKS, "JWT_PUBLIC_KEY": PEM, "JWT_ALGORITHMS": "RS256"},
            "JWT_JWKS_URL",
        ),
        ({"WORKERS": "2"}, "WORKERS"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_stop_with_one_line(variables, named):
    assert refused(**variables).startswith(f"STOREFRONT_{named}: ")


@pytest.mark.parametrize(
    ("variables", "secrets"),
    [
        (
            {"JWT_SECRET": "https://topsecret.example:80/and-longer-than-32-bytes?x#y"},
            ["topsecret", "longer"],
        ),
        ({"JWT_SECRET": PEM.replace("MCowBQ", "TOPSECRET")}, ["TOPSECRET"]),
        ({"RABBITMQ_URL": "amqp://someone:top@secret@rabbit/vh"}, ["someone", "top", "secret"]),
        (
            {"RABBITMQ_URL": "amqp://someone:to:ps%2Fecret@rabbit:5672/vh"},
            ["someone", "ps%2Fecret"],
        ),
        ({"RABBITMQ_URL": "amqps://someone@rabbit/vh"}, ["someone"]),
        ({"RABBITMQ_URL": "amqp://rabbit/vh?cafile=x&password=topsecret"}, ["topsecret"]),
        ({"REDIS_URL": "redis://:t%40p$ecr&t!@cache:6379/0"}, ["ecr"]),
        ({"REDIS_URL": "redis://cache:6379/0?password=topsecret"}, ["topsecret"]),
        ({"REDIS_URL": "unix:///run/redis.sock?password=topsecret"}, ["topsecret"]),
        ({"REDIS_URL": "rediss://someone:topsecret@[::1]:6379/0"}, ["someone", "topsecret"]),
        ({"SHOPPING_URL": "http://someone:topsecret@shopping:5236"}, ["someone", "topsecret"]),
        ({"ORDERS_URL": "https://topsecret@orders"}, ["topsecret"]),
        (
            {
                "JWT_PUBLIC_KEY": PEM.replace("PUBLIC", "PRIVATE").replace("MCowBQ", "TOPSECRET"),
                "JWT_ALGORITHMS": "EdDSA",
            },
            ["TOPSECRET"],
        ),
    ],
    ids=str,
)
def test_secrets_are_not_shown(variables, secrets):
    shown = "\n".join(f"{name}={value}" for name, value in describe(read(**variables)).items())
    assert not [secret for secret in secrets if secret in shown]
    assert "***" in shown or "(PEM text)" in shown


def test_of_a_url_without_secrets_all_is_shown():
    for url in ("amqp://rabbit:5672/vh", "amqp://[::1]:5672/", "amqp://rabbit"):
        assert describe(read(RABBITMQ_URL=url))["STOREFRONT_RABBITMQ_URL"] == url


PASSWORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=3).map(
    lambda text: f"Zq{text}qZ"
)


@given(PASSWORD)
def test_a_password_written_any_way_is_neither_shown_nor_quoted_in_a_refusal(password):
    url = f"amqp://someone:{password}@rabbit:5672/vh"
    try:
        shown = describe(read(RABBITMQ_URL=url))["STOREFRONT_RABBITMQ_URL"]
    except SettingsError as exc:
        shown = str(exc)
    assert "Zq" not in shown
    assert "qZ" not in shown


@given(st.text())
def test_settings_made_in_code_can_be_shown_whatever_they_hold(text):
    made = Settings(
        messaging=MessagingSettings(rabbitmq_url=text),
        store=StoreSettings(redis_url=f"redis://:Zq{text}@cache"),
    )
    shown = describe(made)
    assert "Zq" not in shown["STOREFRONT_REDIS_URL"]


@given(st.sampled_from(sorted(SAMPLES)), st.text())
def test_no_value_at_all_raises_anything_else(name, raw):
    try:
        shown = describe(read(**{name: raw}))
    except SettingsError as exc:
        shown = dict.fromkeys(describe(Settings()), str(exc))
    assert set(shown) == set(describe(Settings()))


def test_of_the_variables_of_the_design_those_that_are_read_have_its_defaults():
    shown = describe(Settings())
    assert shown["STOREFRONT_BIND"] == "127.0.0.1:8080"
    assert float(shown["STOREFRONT_REPLAY_WINDOW"]) == 300
    assert float(shown["STOREFRONT_HEARTBEAT"]) == 30
    assert float(shown["STOREFRONT_DRAIN"]) == 10
    assert float(shown["STOREFRONT_SEND_TIMEOUT"]) == 10
    assert shown["STOREFRONT_WORKERS"] == "1"
    assert shown["STOREFRONT_MAX_STREAMS"] == "20000"
    assert shown["STOREFRONT_MAX_STREAMS_PER_CUSTOMER"] == "20"
    assert shown["STOREFRONT_COOKIE_NAME"] == "__Host-storefront"
    for queue, name in {
        "NOTIFICATIONS": "storefront-notifications",
        "FULFILLMENT": "storefront-fulfillment-events",
        "RETURNS": "storefront-returns-events",
    }.items():
        assert shown[f"STOREFRONT_QUEUE_{queue}"] == name
        assert (
            shown[f"STOREFRONT_QUEUE_{queue}_ARGUMENTS"]
            == '{"x-dead-letter-exchange":"wolverine-dead-letter-queue"}'
        )
