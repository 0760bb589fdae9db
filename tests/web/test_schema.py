"""Schemathesis reads our own OpenAPI document and tries what it allows, and what it does not."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from sandbox.portal import Portal
from tests.verification.city import PORTAL, City
from tests.web.serving import serving


@pytest.fixture
def document(city: City):
    ca = city.installation.authority.ca_path
    with serving(city) as url, Portal(url, ca, PORTAL, city.keys[PORTAL]) as portal:
        raw = portal.call("GET", "/openapi.json").json()
        loaded = schemathesis.openapi.from_dict(raw)
        loaded.config.update(base_url=url)
        yield loaded, {"Authorization": f"Bearer {portal.fetch_token()}"}, ca


@pytest.mark.timeout(240)
def test_every_operation_keeps_to_its_document(document) -> None:
    schema, headers, ca = document
    broken: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @_given(operation)
        def keeps_to_it(case) -> None:
            reply = case.call(headers=headers, verify=str(ca))
            case.validate_response(
                reply,
                checks=[
                    checks.not_a_server_error,
                    checks.status_code_conformance,
                    checks.content_type_conformance,
                    checks.response_schema_conformance,
                ],
            )

        try:
            keeps_to_it()
        except BaseException as error:
            broken.append(f"{operation.label}: {error} {getattr(error, 'exceptions', '')}"[:1500])
    assert not broken, "\n\n".join(broken)


def _given(operation):
    from hypothesis import given

    return given(case=operation.as_strategy())
