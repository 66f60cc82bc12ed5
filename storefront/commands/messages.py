"""What needs a broker: a message sent by hand, and the dead letters."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal, TypeVar

import click
import msgspec
import trio

from storefront.commands.environment import read_settings
from storefront.commands.guid import Guid
from storefront.errors import BrokerError, SettingsError
from storefront.telemetry.tracing_export import exporting

Command = TypeVar("Command", bound=Callable[..., None])


@click.command()
@click.argument("kind")
@click.option("--customer", "customerId", type=Guid(), help="A new one if left out.")
@click.option("--cart", "cartId", type=Guid(), help="A new one if left out.")
@click.option("--order", "orderId", type=Guid(), help="A new one if left out.")
@click.option("--field", "fields", multiple=True, help="name=JSON, sets any field of the body.")
@click.option("--queue", default=None, help="Default: the one this kind usually goes to.")
def publish(kind: str, fields: tuple[str, ...], queue: str | None, **ids: str | None) -> None:
    """Send an integration message to RabbitMQ as Wolverine would, e.g. `publish ItemAdded`."""
    from storefront import consumers, publishing  # noqa: PLC0415 - half a second that `token` need not wait

    settings = read_settings()
    url = settings.messaging.rabbitmq_url
    if url is None:
        raise SettingsError("STOREFRONT_RABBITMQ_URL: needed by publish")
    try:
        message = publishing.example(kind, _fields(fields), ids=ids, now=time.time())
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    target = queue or consumers.usual_queue(settings.messaging, message.type)
    try:
        with exporting(os.environ):
            trio.run(publishing.publish_once, url, target, message)
    except BrokerError as exc:
        raise click.ClickException(f"RabbitMQ: {exc}") from exc
    click.echo(f"{message.type} {message.message_id} -> {target}")


@click.group("dead-letters")
def dead_letters() -> None:
    """What could not be read or placed: look at it, send it again, or throw it away."""


def _choosing(command: Command) -> Command:
    """The options that say which letters are meant."""
    for option in (
        click.option("--limit", default=100, show_default=True, help="Letters to go through."),
        click.option("--type", "kind", help="Only types that end so, e.g. ItemAdded."),
        click.option("--reason", help="Only those that died of this, e.g. unplaceable."),
        click.option("--id", "ids", multiple=True, help="Only these messages; may be repeated."),
    ):
        command = option(command)
    return command


@dead_letters.command("list")
@_choosing
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_letters(limit: int, *, as_json: bool, **which: Any) -> None:
    """Show dead letters, the oldest first, without their bodies. Changes nothing."""
    _deal_with_letters("keep", which, limit, as_json=as_json)


@dead_letters.command()
@_choosing
@click.option("--all", "everything", is_flag=True, help="All of them.")
def replay(limit: int, *, everything: bool, **which: Any) -> None:
    """Send dead letters back to the queue they came from, as if they had never died."""
    _say_which(which, everything=everything)
    _deal_with_letters("replay", which, limit)


@dead_letters.command()
@_choosing
@click.option("--all", "everything", is_flag=True, help="All of them.")
def drop(limit: int, *, everything: bool, **which: Any) -> None:
    """Throw dead letters away for good."""
    _say_which(which, everything=everything)
    _deal_with_letters("drop", which, limit)


def _say_which(which: Mapping[str, Any], *, everything: bool) -> None:
    if not (everything or any(which.values())):
        raise click.UsageError("say which: --id, --reason, --type, or --all")


def _deal_with_letters(
    verdict: Literal["keep", "replay", "drop"],
    which: Mapping[str, Any],
    limit: int,
    *,
    as_json: bool = False,
) -> None:
    from storefront import dead_letters as letters  # noqa: PLC0415 - as in `publish`

    settings = read_settings().messaging
    if settings.rabbitmq_url is None:
        raise SettingsError("STOREFRONT_RABBITMQ_URL: needed by dead-letters")
    choice = letters.Choice(ids=frozenset(which["ids"]), reason=which["reason"], kind=which["kind"])
    try:
        found = letters.deal_with(settings, settings.rabbitmq_url, choice, verdict, limit=limit)
    except BrokerError as exc:
        raise click.ClickException(f"RabbitMQ: {exc}") from exc
    for line in letters.told(found, as_json=as_json):
        click.echo(line)
    if not as_json:
        click.echo(f"{len(found)} dead letter{'' if len(found) == 1 else 's'}")


def _fields(pairs: tuple[str, ...]) -> dict[str, object]:
    decode = msgspec.json.Decoder(float_hook=Decimal).decode
    found: dict[str, object] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not (separator and name):
            raise ValueError(f"--field {pair}: expected name=JSON")
        try:
            found[name] = decode(value)
        except (ValueError, RecursionError):
            found[name] = value  # a bare word is text
    return found
