"""The catalogue of endpoints: one file for each family."""

from klaviyo_sync.sandbox.endpoints import accounts, import_jobs, lists, profiles, subscription_jobs, suppression_jobs
from klaviyo_sync.sandbox.routes import RouteTable

ROUTES = RouteTable(
    (*accounts.ROUTES, *lists.ROUTES, *profiles.ROUTES, *import_jobs.ROUTES, *subscription_jobs.ROUTES, *suppression_jobs.ROUTES)
)
