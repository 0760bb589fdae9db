"""Contract files for tests: a sound one, and ways to spoil it."""

from pathlib import Path

SOUND = """\
apiVersion: v3.2.0
kind: DataContract
id: dpmptsp-mojokerto/licences
name: Licences
version: 1.2.0
status: active
servers:
  - server: oss
    type: custom
    customProperties:
      - {property: system, value: oss}
      - property: connector
        value: {kind: sql, table: izin, key: [nomor]}
schema:
  - name: TradeLicence
    physicalName: izin
    description: Licences to trade at a market.
    properties:
      - name: number
        physicalName: nomor
        logicalType: string
        logicalTypeOptions: {maxLength: 20}
        classification: public
        primaryKey: true
      - name: nik
        physicalName: nik_pemilik
        logicalType: string
        classification: general
        customProperties:
          - {property: identifier, value: nik}
      - name: fee
        physicalName: retribusi
        logicalType: number
        classification: specific
      - name: stalls
        physicalName: lapak
        logicalType: integer
        logicalTypeOptions: {minimum: 1, maximum: 40}
        classification: public
      - name: active
        physicalName: aktif
        logicalType: boolean
        classification: public
        required: true
      - name: kind
        physicalName: jenis
        logicalType: string
        classification: public
        enum:
          - value: food
          - value: goods
        transformLogic: |
          - codes: {F: food, G: goods}
      - name: issued_on
        physicalName: terbit
        logicalType: date
        classification: public
        transformLogic: "date: dd-MM-yyyy"
      - name: changed_at
        physicalName: diubah
        logicalType: timestamp
        classification: public
        transformLogic: "timestamp: Asia/Jakarta"
slaProperties:
  - {property: frequency, value: 1, unit: d, scheduler: cron, schedule: "5 3 * * 1-5"}
  - {property: latency, value: 2, unit: d}
customProperties:
  - {property: validFrom, value: issued_on}
"""


def write(directory: Path, text: str, dataset_id: str = "dpmptsp-mojokerto/licences") -> Path:
    agency, dataset = dataset_id.split("/")
    path = directory / agency / f"{dataset}.odcs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def line_of(text: str, fragment: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if fragment in line)
