"""A local BigQuery: jobs over REST and rows over the Storage Read API, as the client libraries speak them; DuckDB runs the queries.

`with serve() as server:` gives one on loopback ports. It refuses what BigQuery refuses, where that is known: see `deviations.md`
beside this file for what it cannot do, and for what is stricter here.
"""

from bigquery_server.answers import ApiError
from bigquery_server.serving import Server, serve
from bigquery_server.state import Account, Partitioning, State
from bigquery_server.translation import statement

__all__ = ["Account", "ApiError", "Partitioning", "Server", "State", "serve", "statement"]
