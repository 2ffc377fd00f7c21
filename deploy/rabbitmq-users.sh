#!/bin/sh
# Two users of the broker: who stands in front may publish commands and read none; workers may read them too.
# (Workers publish as well: they end replies that nobody makes progress with.)
set -eu
rabbitmqctl -q await_startup
user() {
  rabbitmqctl -q add_user "$1" "$2" 2>/dev/null || rabbitmqctl -q change_password "$1" "$2"
  rabbitmqctl -q set_permissions -p "${VHOST:-/}" "$1" '^commands\.[0-9]+(of[0-9]+)?$' '^(amq\.default|commands\.[0-9]+(of[0-9]+)?)$' "$3"
}
user parley-front "$FRONT_PASSWORD" '^$'
user parley-worker "$WORKER_PASSWORD" '^commands\.[0-9]+(of[0-9]+)?$'
