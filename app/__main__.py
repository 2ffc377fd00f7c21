"""python -m app [all|gateway|worker|assistant|migrate|shards|epoch]"""

from app.infrastructure.cli import cli

cli()
