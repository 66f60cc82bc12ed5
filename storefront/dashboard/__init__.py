"""How all processes are, second by second, for whoever looks at /admin.

Each process looks at its own metrics, tells the others through a board, hears of theirs, and puts
all together. Nothing here is of a customer: what is told are the numbers of /metrics.

    reports    what one process tells of itself; PURE
    merging    several reports as one, and what happened since the last; PURE
    pictures   that, as the page shows it, and the points of its charts; PURE
    board      where processes tell each other: a protocol, and the one who is alone
    sampler    the task that does so, the last quarter of an hour, and those who watch

The board of several processes is in store/redis_board.py; the routes are in web/admin.py.
"""
