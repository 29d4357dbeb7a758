"""Spans of every request, joined by trace id."""
