"""The baseline of a verification: a bare point look-up in the same tables, undecided, unsigned, unlogged."""

from __future__ import annotations

import sys

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

from foundation.database import Role
from foundation.installation import Installation
from foundation.settings import load_settings

_LOOK_UP = """
SELECT p.region_code, p.birth_date, d.death_date, t.standing, t.tax_year
  FROM records.person_v1 p
  LEFT JOIN records.death_v1 d ON d.nik = p.nik
  LEFT JOIN records.tax_standing_v1 t ON t.nik = p.nik
 WHERE p.nik = %s
"""


def create_app() -> FastAPI:
    """An application with one route."""
    installation = Installation.open(load_settings())
    pool = installation.database.pool(Role.MIGRATOR, min_size=2, max_size=8)
    app = FastAPI()

    def look_up(nik: str) -> bytes:
        with pool.connection() as connection:
            row = connection.execute(_LOOK_UP, (nik,)).fetchone()
        return orjson.dumps({"found": row is not None, "row": row})

    @app.post("/look-up")
    async def route(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        question = orjson.loads(await request.body())
        body = await run_in_threadpool(look_up, question["applicant"]["nik"])
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
        http="httptools",
        loop="uvloop",
    )


if __name__ == "__main__":
    main()
