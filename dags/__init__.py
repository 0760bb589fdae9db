"""WHEN it runs: one Airflow DAG per data contract.

In flow the contracts (read once per parse); out flow calls of `records.sync`, in order, with ids between
them. No decision about data is taken here: DAG files wire, `records` works. Airflow parses `loader.py` alone
(`.airflowignore`), so nothing in this room may import more than it needs at module level.
"""

__all__: list[str] = []
