"""What a study learns from earlier runs before its first trial: their Parquet read, their settings understood, their trials carried over."""
