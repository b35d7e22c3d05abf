"""A local Snowflake: fakesnow understands the SQL, and this package speaks the protocol of the real driver over HTTP.

`with serve() as server:` gives one on a loopback port. `deviations.md` beside this file lists where it is not like Snowflake.
"""

from snowflake_server.failing import Answer
from snowflake_server.serving import Server, serve
from snowflake_server.state import Account, State

__all__ = ["Account", "Answer", "Server", "State", "serve"]
