"""Dagster only here and in definitions.py: assets, checks, schedules and resources, made from a Project."""
