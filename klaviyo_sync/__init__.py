"""Keeps Klaviyo profiles true to a warehouse, as Dagster assets partitioned by time window."""

import warnings

__version__ = "0.1.0"

# Dagster warns once per asset and process that checks with partitions are in preview, backfill policies and code references
# in beta. The pin on dagster's minor version and klaviyo_sync_tests/orchestration/ answer that. By text and not by class, so
# that a command which needs no Dagster does not import it.
warnings.filterwarnings("ignore", message=r"(?s).* is currently in preview, and may have breaking changes")
warnings.filterwarnings("ignore", message=r"(?s).* is currently in beta, and may have breaking changes")
