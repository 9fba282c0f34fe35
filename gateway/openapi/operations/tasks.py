"""What goes on in the background."""

from __future__ import annotations

from typing import Final

from gateway.manager.tasks import ListParameters, StartParameters
from gateway.openapi.answers.event import StreamedEvent
from gateway.openapi.answers.task import StartedTask, Task, TaskPage
from gateway.openapi.examples import IN_VOLUME
from gateway.openapi.fields import IDEMPOTENCY_KEY
from gateway.openapi.operations.common import asked, bare, json, queried
from gateway.openapi.operations.events import STREAM, STREAMED
from gateway.openapi.operations.operation import Reply, Table
from gateway.openapi.refusals import (
    ASKING,
    BUS,
    BUSY,
    CHANGING,
    CONFLICT,
    LOCKED,
    NO_FOLDER,
    NO_TASK,
    NO_VOLUME,
    UNSUPPORTED,
)

_KEYED: Final = (IDEMPOTENCY_KEY,)

TABLE: Final[Table] = {
    ("GET", "/tasks"): queried(
        ListParameters, IN_VOLUME, json(TaskPage, "a page of them"), refusals=(*NO_VOLUME, *BUS)
    ),
    ("POST", "/tasks"): asked(
        StartParameters,
        {**IN_VOLUME, "kind": "usage.scan", "options": {"full": True}},
        json(StartedTask, "accepted", 202, ("Location",)),
        refusals=(*CHANGING, *NO_FOLDER, *LOCKED, *UNSUPPORTED),
        fields=_KEYED,
    ),
    ("GET", "/tasks/{task}"): bare(json(Task, "how far it is"), refusals=(*NO_TASK, *BUS)),
    ("GET", "/tasks/{task}/events"): bare(
        Reply(
            200,
            "how far it is (`task`, in the form of `GET /tasks/{task}`) and what happens with it, until it is over",
            media=STREAM,
            fields=STREAMED,
            event=StreamedEvent,
        ),
        refusals=(*NO_TASK, *BUSY, *BUS),
    ),
    ("DELETE", "/tasks/{task}"): bare(
        json(Task, "it will end", 202), refusals=(*ASKING, *NO_TASK, *CONFLICT), fields=_KEYED
    ),
}
