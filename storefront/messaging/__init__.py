"""From the broker to the log.

* `broker`         what a broker is to us: deliveries in, settlements out; two implementations
* `amqp`           RabbitMQ; its rooms are `amqp_*`, from the asyncio island up to a session
* `memory`         an in-process bus with the same envelope, for `storefront demo` and tests;
                   `memory_bus` holds its queues
* `envelope`       reading and writing what Wolverine puts around a message
* `formats`        CloudEvents, MassTransit, NServiceBus
* `consumer`       a queue's subscription, from one life to the next; `subscription` is one life
* `settlement`     which tags may be acknowledged when; PURE
* `dispatch`       a delivery's way: read, place, translate, hand to the recorder
* `work`           a delivery in hand, and the desk where it is settled
* `outcomes`       what becomes of it in the end; `retrying` says when it is tried again
* `serial_queues`  one per key with work in hand
* `placing`        whose order is it
* `recorder`       one task that records in batches, then has the messages acknowledged;
                   `ready` is what it takes, `log_writer` its way into the store
* `backlog`        what waits, in order, while the store refuses something of its customer; PURE
"""
