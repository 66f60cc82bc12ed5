"""The words of the shop, and what follows from them. Pure: no await, no I/O, no clock, no chance.

* `ids`        who and what: CustomerId, OrderId, CartId … valid or nonexistent
* `instants`   moments as the services write them, to the last digit
* `positions`  where an event stands in its customer's log
* `messages`   what the neighbouring services say: one class per integration message
* `events`     what a browser hears: the StorefrontEvent union
* `translate`  from the one to the other: one function and one row per message
"""
