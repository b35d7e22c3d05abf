"""The demo: a sample warehouse, the sandbox, and real windows materialised through Dagster."""
