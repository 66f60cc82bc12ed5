"""Every route of the service. A route that is not in here fails a test, and so does a row without a
route.
"""

from __future__ import annotations

from storefront.web.openapi.admin import ADMIN
from storefront.web.openapi.commands import COMMANDS
from storefront.web.openapi.describing import Operation
from storefront.web.openapi.service import SERVICE
from storefront.web.openapi.stream import STREAM
from storefront.web.openapi.views import VIEWS

OPERATIONS: tuple[Operation, ...] = (*STREAM, *VIEWS, *COMMANDS, *ADMIN, *SERVICE)
