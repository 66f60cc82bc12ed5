"""A service that breaks one promise, started like the honest one: the controls of the ledger.

python -m tests.system.ledger.sabotage ack-before-record
python -m tests.system.ledger.sabotage dedupe-off
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace

from storefront.__main__ import main
from storefront.messaging.ready import Ready
from storefront.messaging.recorder import Recorder
from storefront.store.contract import Recording
from storefront.store.redis import RedisStore


def acknowledge_before_record() -> None:
    """A message is acknowledged as soon as it is handed to the recorder."""
    put, put_nowait = Recorder.put, Recorder.put_nowait

    async def hasty_put(self: Recorder, ready: Ready) -> None:
        ready.done(False)
        await put(self, replace(ready, done=nothing))

    def hasty_put_nowait(self: Recorder, ready: Ready) -> None:
        put_nowait(self, replace(ready, done=nothing))
        ready.done(False)

    def nothing(known_before: bool) -> None:
        """It was done before."""

    Recorder.put, Recorder.put_nowait = hasty_put, hasty_put_nowait  # type: ignore[method-assign] # that is what sabotage is


def forget_message_ids() -> None:
    """Every message has an id that nobody has seen before."""
    record = RedisStore.record

    async def forgetful_record(self: RedisStore, batch: Sequence[Recording], *, now: float):
        anew = [replace(each, message_id=str(uuid.uuid4())) for each in batch]
        return await record(self, anew, now=now)

    RedisStore.record = forgetful_record  # type: ignore[method-assign] # as above


if __name__ == "__main__":
    {"ack-before-record": acknowledge_before_record, "dedupe-off": forget_message_ids}[
        sys.argv[1]
    ]()
    sys.argv[1:] = ["serve"]
    main()
