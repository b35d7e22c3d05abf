"""What a profile's consent looks like to somebody who asks for `additional-fields[profile]=subscriptions`."""

from __future__ import annotations

from typing import Any

from klaviyo_sync.sandbox.state import Sandbox

_NEVER: dict[str, Any] = {"consent": "NEVER_SUBSCRIBED", "consent_timestamp": None}
_LATER: dict[str, Any] = {"method": None, "method_detail": None, "last_updated": None}
_TRACKING: dict[str, Any] = {
    **_NEVER,
    "last_updated": None,
    "created_timestamp": None,
    "metadata": None,
    "can_receive": False,
    "valid_until": None,
}


def render_subscriptions(sandbox: Sandbox, number: int) -> dict[str, Any]:
    """The consent of a profile that was never subscribed: imports do not change consent, and nothing else does here yet."""
    del sandbox, number
    return {
        "email": {
            "marketing": {
                "can_receive_email_marketing": True,
                **_NEVER,
                **_LATER,
                "custom_method_detail": None,
                "double_optin": None,
                "suppression": [],
                "list_suppressions": [],
            },
            "open_tracking": _TRACKING,
            "click_tracking": _TRACKING,
        },
        "sms": {
            "marketing": {"can_receive_sms_marketing": False, **_NEVER, **_LATER},
            "transactional": {"can_receive_sms_transactional": False, **_NEVER, **_LATER},
        },
        "mobile_push": {"marketing": {"can_receive_push_marketing": False, **_NEVER}},
        "whatsapp": None,
    }
