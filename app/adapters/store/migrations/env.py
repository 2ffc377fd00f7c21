"""Run by Alembic with the connection that migrate.py holds, inside its transaction."""

from alembic import context

from app.adapters.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
