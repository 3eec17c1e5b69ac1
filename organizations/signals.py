"""The one way this ground floor speaks upward: the audit trail listens."""

from django.dispatch import Signal

happened = Signal()
"""Sent in the transaction of a change, with: principal, action, target, organization_id,
subject_id (the person whose own thing it is, or None), changes."""
