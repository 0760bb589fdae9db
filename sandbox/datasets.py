"""The twelve datasets of the practice agencies, and the table of a population that holds each."""

from __future__ import annotations

CIVIL_REGISTRY = "dukcapil-mojokerto"
TAX_OFFICE = "kpp-mojokerto"
LICENSING_OFFICE = "dpmptsp-mojokerto"
HEALTH_OFFICE = "dinkes-mojokerto"

PERSONS = f"{CIVIL_REGISTRY}/persons"
FAMILIES = f"{CIVIL_REGISTRY}/families"
BIRTHS = f"{CIVIL_REGISTRY}/births"
DEATHS = f"{CIVIL_REGISTRY}/deaths"
TAXPAYERS = f"{TAX_OFFICE}/taxpayers"
TAX = f"{TAX_OFFICE}/tax-standing"
PROPERTY_TAX = f"{TAX_OFFICE}/property-tax"
BUSINESSES = f"{LICENSING_OFFICE}/businesses"
LICENSES = f"{LICENSING_OFFICE}/licenses"
PATIENTS = f"{HEALTH_OFFICE}/patients"
COVERAGE = f"{HEALTH_OFFICE}/coverage"
IMMUNIZATIONS = f"{HEALTH_OFFICE}/immunizations"

#: Name of the table in `Population`, by dataset.
TABLE_OF = {
    PERSONS: "persons",
    FAMILIES: "families",
    BIRTHS: "births",
    DEATHS: "deaths",
    TAXPAYERS: "taxpayers",
    TAX: "tax",
    PROPERTY_TAX: "property_tax",
    BUSINESSES: "businesses",
    LICENSES: "licenses",
    PATIENTS: "patients",
    COVERAGE: "coverage",
    IMMUNIZATIONS: "immunizations",
}
DATASETS = tuple(TABLE_OF)
