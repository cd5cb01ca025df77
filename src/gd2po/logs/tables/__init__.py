"""Tables in files, read in batches: Parquet, CSV and JSON lines."""
