"""What is said about what happens: logs and metrics. Silent towards everybody's data.

* `logs`     structured lines on standard error
* `metrics`  counters and gauges, for Prometheus
"""
