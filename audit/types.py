"""Audit events on the wire."""

from __future__ import annotations

from audit import models
from config.graphql.generate import node


@node(models.Event, order=("created_at", "action"), unfiltered=("changes",))
class Event:
    """What happened: who did what to what, from where"""
