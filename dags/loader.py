"""The only file that Airflow parses: it gives Airflow one sync DAG per data contract."""

from dags.sync import build_sync_dags

globals().update({dag.dag_id: dag for dag in build_sync_dags()})
