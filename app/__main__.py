"""python -m app [all|gateway|worker|assistant|migrate|shards|epoch|check|operator|chat]"""

from app.infrastructure.command_line import cli

cli()
