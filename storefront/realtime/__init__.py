"""Who is listening, and how bytes reach them.

* `frames`     an event as the bytes of a Server-Sent Events stream; PURE
* `stream`     one browser: a cursor over its customer's log, a memory channel as its fast path
* `hub`        the streams of this process by customer; never waits
* `heartbeat`  one task that pings, warns of and ends what is due
* `heads`      whether a stream has heard of everything
* `pauses`     how long a browser is told to wait
* `drain`      ending all streams over a window
* `recent`     what this process heard lately, so that a return need not ask the store
* `replay`     reading the log for those who came back or fell behind
* `transcript` what a browser is told of the log, nothing missing and nothing twice
* `fan_out`    one task that writes for the streams whose own tasks sleep
* `watch`      what was written, and how late
* `body`       the stream as a response that Quart enters and always leaves
"""
