"""The command line: `klaviyo-sync check`, `preview`, `sandbox`, `schema`."""

from __future__ import annotations

from klaviyo_sync.cli.commands import main

__all__ = ["main"]
