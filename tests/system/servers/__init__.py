"""Real servers for the tests: each on its own ports and data, loopback only, ended with all it started.

`process` owns one child program; `ports` chooses addresses; `rabbitmq`, `redis`, `service` and `chromium` know one
program each. `amqp_tool`, `sse_wire` and `sse_client` are eyes that are not Storefront's: nothing in this package
imports it.

A server is started with `await server.start()` (in a plain test: `trio.run(server.start)`), always from the main
thread: the child dies with the thread that started it, which is how a killed test run leaves nothing behind.
"""
