"""One trial, from data set to scores, on anything torch runs on. Knows no Ray, no Optuna and no plotly."""
