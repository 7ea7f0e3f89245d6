"""What was learned: records of a run in, Parquet and one HTML file out. Knows neither torch nor Ray."""
