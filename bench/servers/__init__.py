"""What is measured, and what it needs around it: each in a process of its own, started as its users
would.

The processes, RabbitMQ and Redis are those of the system tests (tests/system/servers); here is only
what the bench wants of them.
"""
