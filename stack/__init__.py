"""The real stack from plain processes: PostgreSQL, Redis, RabbitMQ and Parley's roles, for a person and for tests."""
