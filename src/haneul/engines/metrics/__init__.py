"""Counted and measured facts about what ran."""
