"""The contract of all stores, held by Redis: on one server, and on a cluster of three."""

from __future__ import annotations

import pytest

from tests.store.test_contract_followers import *  # noqa: F403 - all of them, those to come too
from tests.store.test_contract_log import *  # noqa: F403 - as above
from tests.store.test_contract_memory_of_things import *  # noqa: F403 - as above
from tests.store.test_contract_repetitions import *  # noqa: F403 - as above
from tests.store.test_contract_tickets import *  # noqa: F403 - as above

pytestmark = pytest.mark.system
