"""A shop that lives: the neighbouring services, simulated on real HTTP, and a page that uses them.

Nothing in here is part of the service that goes to production. It stands where Shopping, Orders,
Product Catalog, Customer Identity, Payments, Inventory, Fulfillment and Pricing would stand: for
`make run`, for Docker compose, and as the test doubles that every test over HTTP asks.

    run        serves everything: eight apps on eight ports, the outbox, the journeys of the orders
    page       what the browser is given, as a blueprint for the Storefront's own app

    world      the shop's business state, PURE: commands in, integration messages out
      carts checkouts placed till warehouse parcels returns customers products
      messages   the bodies on the wire, in the field order of the real services
    journey    moves an order on with human pauses, and back where it is returned
    outbox     hands messages to whoever publishes, in order, until they are taken

    shopping orders catalog identity payments inventory fulfillment pricing
               one app each: paths and shapes, no rules
      answers    what those apps share: bodies in, answers out
      counter    how each is put together
      front      the ASGI layers before each app: ledger, faults, CORS
      knobs      the faults, over HTTP
    troubles   what a visitor may break; backstage is their HTTP, and lives what a restart is here

The page talks to these services; they cause messages; the Storefront's consumer hears them. The
demo knows neither RabbitMQ nor Hypercorn: both are handed in.
"""
