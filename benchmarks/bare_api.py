"""The baseline of a verification: a bare look-up in the same tables, undecided, unsigned, unlogged.

An ordinary FastAPI application with a pydantic body and a psycopg pool, behind the uvicorn options of the
real one.
"""

from __future__ import annotations

import sys
from typing import Annotated

import orjson
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel, StringConstraints
from starlette.concurrency import run_in_threadpool

from foundation.database import Role
from foundation.installation import Installation
from foundation.settings import load_settings

_LOOK_UP = """
SELECT p.region_code, p.birth_date, d.death_date, t.standing, t.tax_year,
       b.scale, b.status, b.risk, l.status, c.status
  FROM records.person_v1 p
  LEFT JOIN records.death_v1 d ON d.nik = p.nik
  LEFT JOIN LATERAL (SELECT standing, tax_year FROM records.tax_standing_v1
                      WHERE nik = p.nik ORDER BY tax_year DESC LIMIT 1) t ON true
  LEFT JOIN records.business_v1 b ON b.owner_nik = p.nik AND b.nib = %(nib)s
  LEFT JOIN LATERAL (SELECT status FROM records.license_v1
                      WHERE owner_nik = p.nik AND nib = %(nib)s ORDER BY status_at DESC LIMIT 1) l ON true
  LEFT JOIN LATERAL (SELECT status FROM records.coverage_v1
                      WHERE nik = p.nik ORDER BY period_start DESC LIMIT 1) c ON true
 WHERE p.nik = %(nik)s
"""


class LookUp(BaseModel):
    """Who and which business is looked up."""

    nik: Annotated[str, StringConstraints(pattern=r"^[0-9]{16}$")]
    nib: Annotated[str, StringConstraints(pattern=r"^[0-9]{13}$")]


def create_app() -> FastAPI:
    """An application with one route."""
    installation = Installation.open(load_settings())
    pool = installation.database.pool(Role.MIGRATOR, min_size=2, max_size=8)
    app = FastAPI()

    def look_up(wanted: LookUp) -> bytes:
        with pool.connection() as connection:
            row = connection.execute(_LOOK_UP, {"nik": wanted.nik, "nib": wanted.nib}).fetchone()
        return orjson.dumps({"found": row is not None, "row": row})

    @app.post("/look-up")
    async def route(wanted: LookUp) -> Response:
        body = await run_in_threadpool(look_up, wanted)
        return Response(body, media_type="application/json")

    return app


def main() -> None:
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    certificate, key = Installation.open(load_settings()).authority.issue("bare", ["127.0.0.1"])
    uvicorn.run(
        "benchmarks.bare_api:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        workers=workers,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(key),
        access_log=False,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        http="httptools",
        ws="none",
        loop="uvloop",
        timeout_keep_alive=30,
        limit_concurrency=1000,
        backlog=1024,
    )


if __name__ == "__main__":
    main()
