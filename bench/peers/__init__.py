"""What a user could run instead, each with the fast settings its documentation gives, which the
report lists.

Peers are treated well: they keep no log, check no token, and are handed the finished frame, the
same bytes that Storefront sends, so that none of them encodes anything per stream. Where a peer
cannot send those bytes (nchan gives events ids of its own) the report says so.

Broadcast and personal, ramp and idle have peers. A peer is started anew for each round, as
Storefront is.
"""

from bench.peers.running import PEERS, open_peer

__all__ = ["PEERS", "open_peer"]
