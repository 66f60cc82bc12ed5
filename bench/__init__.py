"""The bench: how fast Storefront is, against what a user would pick instead, and how far to believe
it.

    python -m bench                 every scenario, two rounds, a table, bench/results/
    python -m bench --peers         the four that have peers, alternated with them, five rounds
    python -m bench --quick         everything small, in two minutes, to see that it works

Rooms, and who may use whom (left uses right):

    scenarios   what is done, one module each: the story, its rows, its targets peers       what
    else a user could run: nchan, sse-starlette, better-sse, a plain asyncio pipeline servers
    Storefront as a user starts it, its broker and Redis, neighbours that answer in 20 ms clients
    the crowd of raw sockets that holds the streams, and those who ask for views load        who
    publishes, on time and with confirms measure     percentiles, processes, the ledger of what each
    stream must get: no sockets here report      the table, the pictures, the verdicts, the exit
    status

Every process of the harness says what it cost, and a figure is not believed where that was too
much. Clients and publishers are processes of their own: nothing of theirs runs on the service's
loop.

    bench (Trio)
    ├─ crowd          epoll, raw sockets, kernel timestamps
    ├─ publisher      AMQP with confirms, or HTTP POST for the peers
    ├─ askers         GETs of views, open or closed loop
    └─ subject        Storefront, or a peer; and RabbitMQ, Redis, neighbours
"""
