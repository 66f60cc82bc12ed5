"""HTTP: who asks, what is asked, and the answer's shape.

* `app`       the Quart application, put together
* `auth`      JWT to Caller; with `keys`, which verify it, the only rooms that know PyJWT
* `jwks`      the identity service's keys, fetched
* `tickets`   POST /sse/tickets, for an EventSource of another origin
* `callers`   a request to a Caller
* `origins`   CORS, and which pages may use a cookie
* `problems`  errors as application/problem+json (RFC 9457)
* `shedding`  queries give way to streams: while the loop is late (`loop_lag`), beyond a number of
              them, or where one customer asks too often (`rates`)
* `openapi`   /openapi.json and /docs
* `files`     what does not change while the process lives, with its tag
* `sse`       GET /sse/storefront
* `health`    /health/live, /health/ready, /metrics
"""
