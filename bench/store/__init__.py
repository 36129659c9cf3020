"""Run folders: manifest, raw records per finished cell, Parquet."""
