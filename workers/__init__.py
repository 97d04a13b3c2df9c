"""Ingestion behind the request: Celery wakes, the database decides what is due."""
