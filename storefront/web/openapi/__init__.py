"""What this service answers, as an OpenAPI 3.1 document and as a page to read.

* `operations`  every route: who may ask, with what, and what comes back
* `schemas`     the types that are answered, as JSON Schema
* `events`      what travels in the stream
* `document`    both together
* `page`        the document for people: no script, nothing from elsewhere
* `routes`      /openapi.json and /docs

The shapes are those the routes themselves encode and decode, so they cannot drift; that every route
is described, and nothing else, is a test's business (tests/web/test_openapi.py).
"""
