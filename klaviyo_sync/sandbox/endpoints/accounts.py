"""GET /api/accounts: the account of the key. https://developers.klaviyo.com/en/reference/get_accounts."""

from __future__ import annotations

import orjson

from klaviyo_sync.sandbox.answers import Answer
from klaviyo_sync.sandbox.limits import XS
from klaviyo_sync.sandbox.query import sparse
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.routes import Route
from klaviyo_sync.sandbox.state import Sandbox


def get_accounts(sandbox: Sandbox, request: Request) -> Answer:
    """A list of one: the sandbox's own account, marked as a test account."""
    attributes = {
        "test_account": True,
        "contact_information": {
            "default_sender_name": "Klaviyo sandbox",
            "default_sender_email": "sandbox@example.com",
            "website_url": "https://www.example.com",
            "organization_name": "Klaviyo sandbox",
            "street_address": dict.fromkeys(("address1", "address2", "city", "region", "country", "zip")),
        },
        "industry": "Software / SaaS",
        "timezone": "UTC",
        "preferred_currency": "USD",
        "public_api_key": sandbox.account,
        "locale": "en-US",
    }
    account = {
        "type": "account",
        "id": sandbox.account,
        "attributes": sparse(request, "account", attributes),
        "links": {"self": f"{request.base}/api/accounts/{sandbox.account}/"},
    }
    links = {"self": request.address(), "next": None, "prev": None}
    return Answer(200, orjson.dumps({"data": [account], "links": links}))


ROUTES = (Route("GET", "/api/accounts", "get_accounts", get_accounts, XS, frozenset(("accounts:read",)), frozenset(("fields[account]",))),)
