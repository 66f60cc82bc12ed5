"""From the broker to the log.

* `broker`      what a broker is to us: deliveries in, settlements out; two implementations
* `amqp`        RabbitMQ; its rooms are `amqp_*`, from the asyncio island up to a session
* `memory`      an in-process bus with the same envelope, for `storefront demo` and tests;
                `memory_bus` holds its queues
* `envelope`    reading and writing what Wolverine puts around a message
* `formats`     CloudEvents, MassTransit, NServiceBus
* `settlement`  which tags may be acknowledged when; PURE
* `lanes`       one serial queue per key with work in hand
* `placing`     whose order is it
* `dispatch`    a delivery's way: read, place, translate, hand to the recorder
* `recorder`    one task that records in batches, then has the messages acknowledged
* `consumer`    a queue's subscription, from one life to the next
"""
