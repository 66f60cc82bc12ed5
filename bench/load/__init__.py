"""Who publishes: on time, open loop, in a process of its own.

Open loop: when a message is due does not depend on how the last one fared, and its latency counts
from when it was due. A publisher that waited for a slow service would leave out the very messages
that had to wait longest (coordinated omission).
"""
