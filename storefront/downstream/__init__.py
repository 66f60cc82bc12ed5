"""Asking other services, within a deadline and a bounded number at a time.

* `http`      the one module that knows httpx: JSON over HTTP, bounded in size
* `answers`   a body to a value, or to the service's nonsense
* `guard`     a deadline and a limiter around every question
* `shopping`  what a cart comes to
* `orders`    whose order it is
"""
