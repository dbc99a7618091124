"""Loads a table of PostgreSQL into Parquet files with dlt: python peer_dlt.py <url> <table> <folder> <backend>"""

import os
import sys

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table

url, table, folder, backend = sys.argv[1:]
os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "false"
rows = sql_table(
    credentials=url.replace("postgres://", "postgresql+psycopg2://"),
    table=table,
    backend=backend,
    chunk_size=100_000,
    backend_kwargs={"return_type": "arrow", "tz": "UTC"} if backend == "connectorx" else {},
)
pipeline = dlt.pipeline(
    pipeline_name=f"peer_{backend}",
    destination=filesystem(bucket_url=f"file://{folder}"),
    dataset_name="shop",
    pipelines_dir=os.path.join(folder, "state"),
)
pipeline.run(rows, loader_file_format="parquet", write_disposition="replace")
