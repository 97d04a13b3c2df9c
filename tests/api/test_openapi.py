"""The OpenAPI document is true: whatever is sent, an answer has a status and a form that the document names."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from api.app import create_app
from coldstart.settings import Settings
from tests.api.conftest import Running

CONFIG = schemathesis.Config.from_dict(
    {
        "checks": {
            # A schema cannot say that a text has a printable character, or that a picture is base64.
            "positive_data_acceptance": {"enabled": False},
            # 207: a batch refuses item by item.
            "negative_data_rejection": {"expected-statuses": [207, 404, 413, 415, 422]},
            # Ids hold slashes: PUT /items/x/similar accepts the item "x/similar".
            "unsupported_method": {"enabled": False},
            "allow_header_conformance": {"enabled": False},
        }
    }
)


def document() -> dict[str, Any]:
    """The document of a service without keys, which is the one below: with them, the test of access asks."""
    openapi = create_app(Settings()).openapi()
    for operations in openapi["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return openapi


SCHEMA = schemathesis.openapi.from_dict(document(), config=CONFIG)


@SCHEMA.parametrize()
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case: Case[Any], service: Running) -> None:
    case.call_and_validate(base_url=service.url)
