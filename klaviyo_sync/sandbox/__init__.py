"""The local Klaviyo: a real HTTP server with Klaviyo's limits, errors and asynchronous jobs. See docs/sandbox.md."""

from klaviyo_sync.sandbox.readings import Readings
from klaviyo_sync.sandbox.server import Server, serve
from klaviyo_sync.sandbox.state import Sandbox, SandboxList

__all__ = ["Readings", "Sandbox", "SandboxList", "Server", "serve"]
