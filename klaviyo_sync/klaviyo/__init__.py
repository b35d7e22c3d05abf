"""Klaviyo's API: one client, one file per family of endpoints."""
