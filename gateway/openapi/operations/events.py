"""What happens, as it happens."""

from __future__ import annotations

from typing import Final

from gateway.manager.events import EventParameters
from gateway.openapi.answers.event import StreamedEvent
from gateway.openapi.fields import LAST_EVENT_ID
from gateway.openapi.operations.common import queried
from gateway.openapi.operations.operation import Reply, Table
from gateway.openapi.refusals import BUS, BUSY

STREAM: Final = ("text/event-stream",)
#: Header fields of a stream.
STREAMED: Final = ("Cache-Control", "X-Accel-Buffering")

TABLE: Final[Table] = {
    ("GET", "/events"): queried(
        EventParameters,
        {"types": "vfolder.*"},
        Reply(
            200,
            "events without an end, and `gap` where some are gone",
            media=STREAM,
            fields=STREAMED,
            event=StreamedEvent,
        ),
        refusals=(*BUSY, *BUS),
        fields=(LAST_EVENT_ID,),
    ),
}
