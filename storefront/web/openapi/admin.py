"""The staff's routes (web/admin.py), described."""

from __future__ import annotations

from storefront.dashboard.pictures import Picture, Point
from storefront.web.admin import Session
from storefront.web.admin_customer import CustomerNow
from storefront.web.openapi.describing import Answer, Operation, Parameter, guid_in_path

_STAFF = ("not-signed-in", "not-allowed")

ADMIN = (
    Operation(
        method="get",
        paths=("/admin",),
        name="dashboard",
        summary="The dashboard, a page without anything in it",
        words="What it shows it asks for, with a token of the role `admin` or `support`.",
        tag="staff",
        answers=(
            Answer(status=200, words="The page.", media="text/html", schema={"type": "string"}),
        ),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/admin/ui/{name}",),
        name="dashboardFile",
        summary="What the dashboard is made of",
        tag="staff",
        parameters=(
            Parameter(
                name="name",
                words="Of the file.",
                place="path",
                schema={"type": "string"},
                required=True,
            ),
        ),
        answers=(
            Answer(status=200, words="The file.", media="text/plain", schema={"type": "string"}),
        ),
        problems=("http-404",),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/admin/session",),
        name="staffSession",
        summary="Who the browser is to the dashboard",
        tag="staff",
        answers=(Answer(status=200, words="The roles that count here.", shape=Session),),
        problems=_STAFF,
    ),
    Operation(
        method="post",
        paths=("/admin/session",),
        name="enterStaffSession",
        summary="Keep the bearer token of this request in the dashboard's own cookie",
        tag="staff",
        answers=(Answer(status=200, words="It is kept until it expires.", shape=Session),),
        problems=_STAFF,
    ),
    Operation(
        method="delete",
        paths=("/admin/session",),
        name="leaveStaffSession",
        summary="Forget that cookie",
        tag="staff",
        answers=(Answer(status=204, words="It is forgotten."),),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/admin/stream",),
        name="dashboardStream",
        summary="How all processes are, every second, as Server-Sent Events",
        words="For the role `admin`. Ends with the token, and with `busy` where too many watch.",
        tag="staff",
        answers=(
            Answer(
                status=200,
                words="`history`: the points of the last quarter of an hour. Then `picture`s.",
                media="text/event-stream",
                schema={"type": "string"},
                extensions={"x-events": {"history": list[Point], "picture": Picture}},
            ),
        ),
        problems=_STAFF,
    ),
    Operation(
        method="get",
        paths=("/admin/customers/{customerId}",),
        name="customerNow",
        summary="One customer's streams in the process that answers, and their last events",
        words="For the role `support`; each look is written to the audit log.",
        tag="staff",
        parameters=(guid_in_path("customerId", "Whose."),),
        answers=(Answer(status=200, words="Ids, types and times.", shape=CustomerNow),),
        problems=("bad-request", *_STAFF, "too-many-requests", "not-available"),
    ),
)
