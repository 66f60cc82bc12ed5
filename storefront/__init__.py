"""Storefront: a real-time Backend-for-Frontend. Each customer's own updates, from RabbitMQ to the
browser.

The rooms, in the direction in which they may name one another (left names right, nothing else):

    commands → service → web → queries → downstream → domain
                      ├→ messaging ─────────────────→ domain
                      ├→ store ─────────────────────→ domain
                      ├→ realtime ──────────────────→ domain      (web → realtime)
                      ├→ serving, demo, dashboard          (web → dashboard)
    everyone: errors, settings, telemetry

    domain      what the shop's words mean; pure
    messaging   deliveries from RabbitMQ, read, placed, translated, recorded, acknowledged
    store       the log of what each customer was told
    realtime    who listens, and how bytes reach them
    downstream  questions to the neighbouring services
    web         HTTP: who asks, and the answer's shape
    dashboard   how all processes are, second by second
    serving     Hypercorn on our own socket, and what is corrected in it
    demo, ui    simulated neighbours and a page, for `storefront demo`
    queries     views, composed from several services
    service     joins them, and holds the tree of tasks with `back_office`; `playground` joins the
                demo to it
    commands    the command line, by what each command needs
    workers     many processes behind one socket
    process     one process from its first signal to its exit code

A few words that mean one thing everywhere:

    message     what a neighbouring service published; one of domain/messages
    delivery    a message as the broker handed it over, to be settled once
    event       what a customer's browser hears; one of domain/events
    entry       an event in the log, at its position
    position    epoch and number of an entry: the id a browser hands back, its cursor
    stream      one browser's connection: a cursor over its customer's log
"""
