"""python -m app [all|gateway|worker|assistant|migrate|shards|lanes|epoch|check|operator|chat]"""

from app.infrastructure.command_line import cli

cli()
