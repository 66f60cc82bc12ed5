"""RabbitMQ for the bench: the tests' node, told not to spin while it has nothing to do.

Erlang's schedulers busy-wait by default. On the two cores that service, clients and broker share,
that would be measured as somebody's processor time, and taken from the service; RabbitMQ's own
guide advises to switch it off there.
"""

from __future__ import annotations

from tests.system.servers.rabbitmq import RabbitNode

NO_BUSY_WAIT = " +sbwt none +sbwtdcpu none +sbwtdio none"


class CalmRabbit(RabbitNode):
    """A broker that sleeps when idle."""

    def _rabbitmq_settings(self) -> dict[str, str]:
        found = super()._rabbitmq_settings()
        found["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += NO_BUSY_WAIT
        return found
