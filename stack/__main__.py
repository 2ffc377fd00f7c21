"""python -m stack [--port 8100]: the real stack for a person, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import suppress

from app.infrastructure.settings import Settings
from stack.packages import NoServers, say
from stack.parley import Stack
from stack.servers import Servers

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OURS = ("host", "port", "database_url", "database_read_url", "broker_url", "redis_url", "jwt_secret", "data_dir")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8100, help="of the first gateway; the second has the next")
    port = parser.parse_args().port
    for sig in _ENDS:  # SIGINT is ignored in what a shell starts in the background
        signal.signal(sig, signal.default_int_handler)
    try:
        servers = Servers()
    except NoServers as error:
        sys.exit(f"stack: {error}")
    settings = {name.upper() for name in Settings.model_fields if name not in _OURS}
    given = {name: value for name, value in os.environ.items() if name in settings or name.startswith("OTEL_")}
    stack = Stack(servers, port=port, environment=given)
    try:
        say("starting PostgreSQL, Redis and RabbitMQ …")
        servers.start()
        say("starting Parley: two gateways, two workers, an assistant worker …")
        stack.start()
        for role in stack.roles:
            say(f"  {role.child.name:<12} {role.url}")
        say(f"  PostgreSQL   {servers.postgres.url}")
        say(f"  Redis        {servers.redis.url}")
        say(f"  RabbitMQ     {servers.rabbitmq.url}")
        say(f"  logs in      {servers.folder}")
        print(f"Parley is at {stack.urls[0]} and {stack.urls[1]} (docs at /docs); Ctrl-C ends it all", flush=True)
        while True:
            time.sleep(1)
            for role in stack.roles:
                if not role.child.running():
                    say(f"{role.child.name} ended: it is started again")
                    role.start_soon()
    except RuntimeError as error:
        sys.exit(f"stack: {error}")
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be closed
            say("ending …")
    finally:
        for sig in _ENDS:
            signal.signal(sig, signal.SIG_IGN)
        stack.stop()
        servers.stop()


if __name__ == "__main__":
    main()
