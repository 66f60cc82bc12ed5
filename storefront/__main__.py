"""The command line: serve, demo, token, config, publish, dead-letters."""

from __future__ import annotations

import sys

import click

from storefront import process
from storefront.commands import looking, messages, running
from storefront.errors import SettingsError


def main() -> None:
    """Entry point of the console script."""
    try:
        cli(prog_name="storefront")
    except SettingsError as exc:
        sys.exit(process.refuse(exc))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Storefront: each customer's own updates, streamed from RabbitMQ to the browser.

    Settings are environment variables; `storefront config` shows them all.
    """


for command in (
    running.serve,
    running.worker,
    running.demo,
    looking.token,
    looking.config,
    messages.publish,
    messages.dead_letters,
):
    cli.add_command(command)


if __name__ == "__main__":
    main()
