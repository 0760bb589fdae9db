"""Practice agencies: synthetic people, served for real on loopback the way offices serve theirs.

In flow a number of people and a seed; out come a civil registry (a PostgreSQL server of its own behind TLS),
a tax office (REST with OAuth 2), a licensing office (files over SFTP), a health office (FHIR), the errors put
into their books on purpose, and switches for faults and changes.
Only tests, benchmarks and the command line may import this package.
"""

from sandbox.fixed_people import FIXED, PracticePerson
from sandbox.injection import InjectedError
from sandbox.population import Population

__all__ = ["FIXED", "InjectedError", "Population", "PracticePerson"]
