"""The outbox: alerts stand in the status of the object that they are about, until everybody has got them."""

from typing import Annotated

from pydantic import Field, StringConstraints

from bokgu.api.fields import (
    Label,
    Line,
    ObjectName,
    StatusModel,
    Timestamp,
    Word,
)
from bokgu.api.vocabulary import AlertKind, Language

MOST_WAITING = 24
"""Alerts of one object that wait for somebody; more are folded, kind by kind."""
MOST_DELIVERED = 8
"""Alerts that everybody has got and that are kept to be seen."""
MOST_ADDRESSEES = 64
"""Receivers of one alert: 16 routes with four receivers each."""
MOST_TOLD = 128


class Addressee(StatusModel):
    """Who gets an alert, and in which language."""

    receiver: Label = Field(description="Name of the receiver: its key in the Secret of the operator's namespace.")
    language: Language = Field(description="Language of the text.")


class Alert(StatusModel):
    """One thing that people are told."""

    number: int = Field(ge=1, description="Rises with each alert of the object; receivers get them in this order.")
    kind: AlertKind = Field(description="What is told.")
    at: Timestamp = Field(description="When it happened.")
    count: int = Field(default=1, ge=1, description="How many alerts of this kind were folded into this one.")
    plan: ObjectName | None = Field(default=None, description="The RecoveryPlan that it is about.")
    step: Word | None = Field(default=None, description="The step of it that it is about.")
    message: Line = Field(default="", description="What happened, for people.")
    to: Annotated[tuple[Addressee, ...], Field(min_length=1, max_length=MOST_ADDRESSEES)] = Field(
        description="Who gets it."
    )


class ReceiverStatus(StatusModel):
    """How far a receiver has got."""

    name: Label = Field(description="Name of the receiver.")
    delivered: int = Field(
        default=0, ge=0, description="Number of the last alert that it has got; it got those before that are its own."
    )
    delivered_at: Timestamp | None = Field(default=None, description="When it got that one.")
    attempts: int = Field(
        default=0, ge=0, description="How often the next one was tried in vain; written at 1, 2, 4, 8 and so on."
    )
    last_error: Line | None = Field(default=None, description="Why the last try failed. It never shows the address.")


class Outbox(StatusModel):
    """Alerts that wait, and the last ones that were delivered."""

    last: int = Field(default=0, ge=0, description="Number of the newest alert.")
    told: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=128)], ...], Field(max_length=MOST_TOLD)
    ] = Field(default=(), description="What was put here already, so that nothing is told twice.")
    alerts: Annotated[tuple[Alert, ...], Field(max_length=MOST_WAITING + MOST_DELIVERED)] = Field(
        default=(), description="Alerts that wait, and the last ones that all have got, oldest first."
    )
    receivers: Annotated[tuple[ReceiverStatus, ...], Field(max_length=MOST_ADDRESSEES)] = Field(
        default=(), description="How far each receiver of these has got."
    )
