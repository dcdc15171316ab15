#!/bin/sh
# For help2man: the --help of $HMAR_PROGRAM $HMAR_SUBCOMMAND.
# shellcheck disable=SC2086  # A subcommand may be of two words.
exec "$HMAR_PROGRAM" $HMAR_SUBCOMMAND "$@"
