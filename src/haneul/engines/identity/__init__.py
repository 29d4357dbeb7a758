"""Accounts, users, roles, keys and policies."""
