"""Buckets and the objects in them."""
