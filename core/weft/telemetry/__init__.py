"""What a run tells of itself, and the way it goes: rows, observer, tracker, journal, shipper, MLflow."""
