"""The command line: serve, demo, token, config, publish."""

from __future__ import annotations

import os
import sys
import time
import uuid
from decimal import Decimal
from functools import partial

import click
import msgspec
import trio

from storefront import process
from storefront.errors import BrokerError, ListenError, SettingsError
from storefront.settings import Settings, describe, from_environment
from storefront.telemetry.logs import configure_logs


def main() -> None:
    """Entry point of the console script."""
    try:
        cli(standalone_mode=True)
    except SettingsError as exc:
        sys.exit(process.refuse(exc))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Storefront: each customer's own updates, streamed from RabbitMQ to the browser.

    Settings are environment variables; `storefront config` shows them all.
    """


@cli.command()
def serve() -> None:
    """Run the service: RabbitMQ in, Server-Sent Events out."""
    from storefront import service
    from storefront.serving import open_listening_socket

    settings = _settings()
    service.check(settings)
    with open_listening_socket(settings.serving.bind) as listening:
        run = partial(_serve, settings, listening)
        sys.exit(process.run_process(run, drain=settings.serving.drain))


@cli.command()
@click.option("--pace", default=1.0, show_default=True, help="How slowly an order moves.")
@click.option("--only-services", is_flag=True, help="Only the simulated services, on RabbitMQ.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where they listen then.")
def demo(*, pace: float, only_services: bool, host: str) -> None:
    """Run a whole shop with simulated services, in a browser at http://127.0.0.1:8080."""
    from storefront import playground

    settings = playground.demo_settings(os.environ)
    _configure(settings)
    if only_services:
        run = partial(playground.run_services, settings, pace, host)
    else:
        run = partial(playground.run_demo, settings, pace)
    sys.exit(process.run_process(run, drain=settings.serving.drain))


@cli.command()
@click.option("--customer", help="Whose token: a GUID.")
@click.option("--role", "roles", multiple=True, help="support, admin; may be repeated.")
@click.option("--lifetime", default=3600.0, show_default=True, help="Seconds until it expires.")
def token(customer: str | None, roles: tuple[str, ...], lifetime: float) -> None:
    """Print a development token, signed with STOREFRONT_JWT_SECRET."""
    from storefront.web.auth import mint

    settings = _settings()
    if customer is None and not roles:
        raise click.UsageError("--customer or --role is needed")
    try:
        minted = mint(
            settings.auth, customer=customer, now=time.time(), lifetime=lifetime, roles=roles
        )
    except ValueError as exc:
        raise click.BadParameter("not a GUID", param_hint="--customer") from exc
    click.echo(minted)


@cli.command()
def config() -> None:
    """Print every setting that is in force, secrets masked."""
    for name, value in describe(_settings()).items():
        click.echo(f"{name}={value}")


@cli.command()
@click.argument("kind")
@click.option("--customer", default=None, help="GUID; a new one if left out.")
@click.option("--cart", default=None, help="GUID; a new one if left out.")
@click.option("--order", default=None, help="GUID; a new one if left out.")
@click.option("--field", "fields", multiple=True, help="name=JSON, sets any field of the body.")
@click.option("--queue", default=None, help="Default: STOREFRONT_QUEUE_NOTIFICATIONS.")
def publish(
    kind: str,
    customer: str | None,
    cart: str | None,
    order: str | None,
    fields: tuple[str, ...],
    queue: str | None,
) -> None:
    """Send an integration message to RabbitMQ as Wolverine would, e.g. `publish ItemAdded`."""
    from storefront import publishing

    settings = _settings()
    url = settings.messaging.rabbitmq_url
    if url is None:
        raise SettingsError("STOREFRONT_RABBITMQ_URL: needed by publish")
    try:
        message = publishing.example(
            kind,
            {"customerId": customer, "cartId": cart, "orderId": order, **_fields(fields)},
            now=time.time(),
        )
        target = queue or settings.messaging.queue_notifications
        trio.run(publishing.publish_once, url, target, message)
    except (KeyError, ValueError) as exc:
        raise click.UsageError(str(exc.args[0])) from exc
    except BrokerError as exc:
        raise click.ClickException(f"RabbitMQ: {exc}") from exc
    click.echo(f"{message.type} {message.message_id} -> {target}")


def _fields(pairs: tuple[str, ...]) -> dict[str, object]:
    decode = msgspec.json.Decoder(float_hook=Decimal).decode
    found: dict[str, object] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise ValueError(f"--field {pair}: expected name=JSON")
        try:
            found[name] = decode(value)
        except msgspec.DecodeError:
            found[name] = value  # a bare word is text
    return found


async def _serve(settings: Settings, listening, stop: trio.Event) -> None:
    from storefront import service

    await service.serve(settings, listening, stop=stop)


def _settings() -> Settings:
    settings = from_environment(os.environ)
    _configure(settings)
    return settings


def _configure(settings: Settings) -> None:
    configure_logs(level=settings.logs.log_level, style=settings.logs.log_format)


if __name__ == "__main__":
    main()
