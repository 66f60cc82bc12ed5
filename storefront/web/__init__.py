"""HTTP: who asks, what is asked, and the answer's shape.

* `app`       the Quart application, put together
* `auth`      JWT to Caller; the only room that knows PyJWT
* `origins`   CORS, and which pages may use a cookie
* `problems`  errors as application/problem+json (RFC 9457)
* `sse`       GET /sse/storefront
* `health`    /health/live, /health/ready, /metrics
"""
