"""The log of what each customer was told, and what must be remembered with it.

* `contract`  the promises, as values and one protocol; every implementation passes the same tests
* `memory`    on the caller's clock, gone with the process: for tests of time
* `sqlite`    one file, one process, survives a restart: the default
* `redis`     any number of processes and machines, on one server or a cluster
"""
