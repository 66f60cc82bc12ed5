"""What needs nothing but the settings: a token for development, and the settings themselves."""

from __future__ import annotations

import time

import click

from storefront.commands.environment import read_settings
from storefront.commands.guid import Guid
from storefront.settings import describe


@click.command()
@click.option("--customer", type=Guid(), help="Whose token.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(["support", "admin"]),
    help="May be repeated.",
)
@click.option("--lifetime", default=3600.0, show_default=True, help="Seconds until it expires.")
def token(customer: str | None, roles: tuple[str, ...], lifetime: float) -> None:
    """Print a development token, signed with STOREFRONT_JWT_SECRET."""
    from storefront.web.auth import mint  # noqa: PLC0415 - half a second that `config` need not wait

    settings = read_settings()
    if customer is None and not roles:
        raise click.UsageError("--customer or --role is needed")
    try:
        minted = mint(
            settings.auth, customer=customer, now=time.time(), lifetime=lifetime, roles=roles
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    click.echo(minted)


@click.command()
def config() -> None:
    """Print every setting that is in force, secrets masked."""
    for name, value in describe(read_settings()).items():
        click.echo(f"{name}={value}")
