#!/bin/sh
# Entries of the route map SESSIONS for owner epochs 1 to $1: the metric of a session's route becomes its local preference.
for epoch in $(seq "${1:?how many}"); do
    printf 'route-map SESSIONS permit %s\n match metric %s\n set local-preference %s\n!\n' "$epoch" "$epoch" "$epoch"
done
