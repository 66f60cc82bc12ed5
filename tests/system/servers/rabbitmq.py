"""A RabbitMQ node of our own: started, stopped, killed, and asked questions that AMQP does not allow.

It shares nothing with a node that may run on this machine: own node name, cookie, data, AMQP and distribution ports,
and its own epmd (the Erlang port mapper, which otherwise is one per machine and outlives everybody). Debian's
`rabbitmq-server` wrapper would change to the user rabbitmq and its home; the script behind it runs as whoever calls.

A virtual host per test keeps tests apart: it takes 25 ms through `erl_call`, where `rabbitmqctl` takes a second.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.servers.amqp_tool import AmqpTool
from tests.system.servers.ports import LOOPBACK, answers, free_port
from tests.system.servers.process import ServerError, ServerProcess

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
ERL_CALL = "erts-*/bin/erl_call"  # under the Erlang root; the runtime's version is in the path
ERLANG_ROOT = Path("/usr/lib/erlang")

EVAL_WITHIN = 10  # measured: milliseconds
# Now and then erl_call cannot reach a node that is well. Nothing was evaluated then, so it may be asked again.
CALLS = 5
NO_CONNECTION = "failed to connect to node"

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME_ON_CHANNEL_0 = b"\x01\x00\x00"  # connection.start


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """A broker of a test's own, as far as the test can see."""

    name: str
    url: str
    tool: AmqpTool
    node: RabbitNode

    def unacknowledged(self, queue: str) -> int:
        """How many messages of this queue are with consumers that have not settled them."""
        found = self.node.evaluate(
            f"{{ok, Q}} = rabbit_amqqueue:lookup({self._resource(queue)}), "
            "[{_, N}] = rabbit_amqqueue:info(Q, [messages_unacknowledged]), N."
        )
        return int(found)

    def close_connections(self, reason: str = "closed by a test") -> None:
        """The broker ends every connection to this virtual host, as an operator would (320)."""
        self.node.evaluate(
            f'[rabbit_networking:close_connection(rabbit_misc:pget(pid, C), "{reason}") '
            f"|| C <- rabbit_networking:connection_info_all([pid, vhost]), "
            f'rabbit_misc:pget(vhost, C) == <<"{self.name}">>].'
        )

    def _resource(self, queue: str) -> str:
        return f'rabbit_misc:r(<<"{self.name}">>, queue, <<"{queue}">>)'


class RabbitNode(ServerProcess):
    """One broker on a data folder and on ports that stay the same over its restarts."""

    start_within = 60.0  # measured 6-8 s on two cores, 14 s from a cold disk
    stop_within = 30.0  # measured 1 s

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._epmd_port = free_port()
        self._cookie = secrets.token_hex(16)
        self._node_name = f"storefront-{secrets.token_hex(4)}@localhost"
        self._folder = folder
        self._write_settings()
        super().__init__(
            "rabbitmq",
            [SERVER],
            folder=folder,
            environment=self._erlang_settings() | self._rabbitmq_settings(),
            ready=lambda: answers(self.port, PROTOCOL_HEADER, METHOD_FRAME_ON_CHANNEL_0),
        )
        self._epmd = ServerProcess(
            "epmd",
            ["epmd", "-port", str(self._epmd_port), "-address", LOOPBACK],
            folder=folder,
            environment=self._erlang_settings(),
            # epmd speaks no greeting; any answer to its "names" request begins with its own port.
            ready=lambda: answers(
                self._epmd_port, b"\x00\x01n", self._epmd_port.to_bytes(4, "big")
            ),
        )

    @property
    def url(self) -> str:
        """Of the default virtual host."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/"

    async def start(self, *, within: float | None = None) -> float:
        """Start on the data and the ports that it had; the seconds until it speaks AMQP."""
        if not self._epmd.running:
            await self._epmd.start(within=within)
        return await super().start(within=within)

    async def stop(self, *, within: float | None = None) -> int:
        """As an operator stops it: connections are closed with a reason, everything is on disk."""
        try:
            return await super().stop(within=within)
        finally:
            self._epmd.kill()

    def kill(self) -> None:
        """As when its machine fails: connections break, what was not synced is lost."""
        super().kill()
        self._epmd.kill()

    def evaluate(self, expression: str) -> str:
        """Run an Erlang expression, ended by a full stop, in the node; its value as Erlang prints it.

        Raises:
            ServerError: the node did not answer, or the expression failed.
        """
        for _ in range(CALLS):
            run = self._call(expression)
            if NO_CONNECTION not in run.stderr:
                break
        answer = run.stdout.strip()
        if not answer.startswith("{ok, "):
            raise ServerError(f"{self.name} on {expression!r}: {answer or run.stderr}")
        return answer.removeprefix("{ok, ").removesuffix("}")

    def _call(self, expression: str) -> subprocess.CompletedProcess[str]:
        (erl_call, *_) = sorted(ERLANG_ROOT.glob(ERL_CALL))
        return subprocess.run(
            [
                erl_call,
                "-sname",
                self._node_name,
                "-c",
                self._cookie,
                "-e",
                "-timeout",
                str(EVAL_WITHIN),
            ],
            input=f"{expression}\n",
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * EVAL_WITHIN,
        )

    @contextmanager
    def virtual_host(self) -> Iterator[VirtualHost]:
        """A new virtual host that the user guest owns; removed with all that is in it."""
        name = f"test-{secrets.token_hex(6)}"
        everything = '<<".*">>, <<".*">>, <<".*">>'
        self.evaluate(
            f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), rabbit_auth_backend_internal:'
            f'set_permissions(<<"guest">>, <<"{name}">>, {everything}, <<"tests">>).'
        )
        url = f"{self.url}{name}"
        try:
            yield VirtualHost(name=name, url=url, tool=AmqpTool(url), node=self)
        finally:
            # A node that a test left dead takes its virtual hosts along; they are in nobody's way.
            if self.running:
                self.evaluate(f'rabbit_vhost:delete(<<"{name}">>, <<"tests">>).')

    def _write_settings(self) -> None:
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {LOOPBACK}:{self.port}\n"
            "log.console = true\n"
            "log.file = false\n"
            "disk_free_limit.absolute = 50MB\n"  # the default alarm would block publishers on a small disk
        )
        (self._folder / "enabled_plugins").write_text("[].\n")
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)

    def _erlang_settings(self) -> dict[str, str]:
        return {"ERL_EPMD_PORT": str(self._epmd_port), "ERL_EPMD_ADDRESS": LOOPBACK}

    def _rabbitmq_settings(self) -> dict[str, str]:
        return {
            # The start script then replaces itself by the Erlang machine instead of standing before it: the process
            # we started is the broker, SIGTERM is a graceful stop and SIGKILL kills it.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # not the machine's
            "RABBITMQ_NODENAME": self._node_name,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder),
            "RABBITMQ_LOGS": "-",
            # Bound schedulers of several nodes would share the same cores.
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }
