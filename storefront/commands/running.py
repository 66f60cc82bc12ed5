"""Processes that stay: the service, one of its workers, the demo."""

from __future__ import annotations

import os
import socket
import sys
from functools import partial

import click
import trio
from structlog.contextvars import bound_contextvars

from storefront import process
from storefront.commands.environment import configure, read_settings, variables
from storefront.errors import SettingsError
from storefront.settings import Settings
from storefront.telemetry.tracing_export import exporting


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, 64),  # as the setting's
    help="Processes behind one socket, in place of STOREFRONT_WORKERS.",
)
def serve(*, workers: int | None) -> None:
    """Run the service: RabbitMQ in, Server-Sent Events out."""
    from storefront import service  # noqa: PLC0415 - half a second that `token` need not wait
    from storefront.serving import open_listening_socket  # noqa: PLC0415 - as above

    settings = read_settings(workers=workers)
    service.check(settings)
    if settings.serving.workers > 1:
        with open_listening_socket(settings.serving.bind) as listening:
            sys.exit(_run_workers(settings, listening))
    # The port is free before the last spans are sent.
    with exporting(os.environ), open_listening_socket(settings.serving.bind) as listening:
        run = partial(_serve, settings, listening)
        code = process.run_process(run, drain=settings.serving.drain)
    sys.exit(code)


@click.command(hidden=True)
@click.argument("number", type=int)
@click.argument("listening", type=int)
@click.argument("lifeline", type=int)
def worker(*, number: int, listening: int, lifeline: int) -> None:
    """Be one of the workers of `serve --workers`, which starts this. Not for people."""
    from storefront import workers  # noqa: PLC0415 - as in `serve`

    parent = workers.Lifeline(workers.inherited(lifeline))
    parent.follow_parent()
    try:
        code = _run_worker(number, workers.inherited(listening), parent.refuse)
    except SettingsError as exc:
        code = parent.refuse(exc)
    sys.exit(code)


@click.command()
@click.option("--pace", default=1.0, show_default=True, help="How slowly an order moves.")
@click.option("--only-services", is_flag=True, help="Only the simulated services, on RabbitMQ.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where they listen then.")
def demo(*, pace: float, only_services: bool, host: str) -> None:
    """Run a whole shop with simulated services, in a browser at http://127.0.0.1:8080."""
    from storefront import playground  # noqa: PLC0415 - half a second that `token` need not wait

    settings = playground.demo_settings(os.environ)
    configure(settings)
    if only_services:
        run = partial(playground.run_services, settings, pace, host)
    else:
        run = partial(playground.run_demo, settings, pace)
    with exporting(os.environ):
        code = process.run_process(run, drain=settings.serving.drain)
    sys.exit(code)


def _run_workers(settings: Settings, listening: socket.socket) -> int:
    from storefront import workers  # noqa: PLC0415 - as in `serve`

    amount, drain = settings.serving.workers, settings.serving.drain
    start = partial(
        workers.WorkerProcess.start,
        workers.worker_command(),
        # What an option says, the workers have to be told.
        variables(workers=amount),
        listening,
    )
    parent = workers.Workers(start, release=listening.close)
    return process.run_process(
        partial(parent.run, amount, drain),
        drain=drain,
        patience=workers.PATIENCE,
        asked_again=parent.end_at_once,
    )


def _run_worker(number: int, listening: socket.socket, tell: process.Tell) -> int:
    from storefront import service  # noqa: PLC0415 - as in `serve`

    settings = read_settings()
    service.check(settings)
    with bound_contextvars(worker=number), exporting(os.environ), listening:
        return process.run_process(
            partial(_serve, settings, listening, worker=number),
            drain=settings.serving.drain,
            asked_again=process.stay_at_it,
            tell=tell,
        )


async def _serve(
    settings: Settings, listening: socket.socket, stop: trio.Event, *, worker: int = 0
) -> None:
    from storefront import service  # noqa: PLC0415 - as in `serve`

    await service.serve(settings, listening, stop=stop, worker=worker)
