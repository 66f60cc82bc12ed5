"""Asking other services, within a deadline and a bounded number at a time.

services    all of them, opened together
shopping, orders, catalog, identity, payments, fulfillment, pricing, inventory
            what may be asked of each, and what its answers are
client      what these have in common
commands    what goes along with a command, and what comes back
answers     a body to a value, or to the service's nonsense
guard       a deadline, a limiter, a breaker and one retry around every question
breaker     when to stop asking, and when to try again; pure
retries     how many questions may be asked twice; pure
backoff     how long to wait before that; pure
window      how often something happened lately; pure
http        the one module that knows httpx: JSON over HTTP, bounded in size
connecting  ... and the time it takes to connect
"""
