#!/usr/bin/env bash
# Measures the backfill against one bare INSERT … SELECT of the same rows into the same partitions, verify against the
# backfill, appends beside a backfill with the default limits against appends alone, and reads of streams whose older half is
# in the legacy table alone against reads of the same streams behind the fence: on this machine, in one run, on one private,
# durable PostgreSQL that is made for it and deleted afterwards. Prints Markdown on standard output, progress on standard
# error. docs/performance.md tells what it showed.
#
#   cargo build --release -p partita
#   deploy/bench/backfill.sh > table.md
#
# Settings, by variable:
#   PARTITA       the program                                       target/release/partita
#   PG_BIN        bin folder of PostgreSQL                          looked for
#   ROWS          rows of history                                   5000000
#   ROUNDS        rounds; the figures are medians                   3
#   CLIENTS       appenders beside the backfill                     64
#   READERS       readers of half backfilled streams                16
#   RUN_SECONDS   how long appends, and reads, are measured         10
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
partita=$(realpath "${PARTITA:-$here/../../target/release/partita}")
rows=${ROWS:-5000000}
rounds=${ROUNDS:-3}
clients=${CLIENTS:-64}
readers=${READERS:-16}
seconds=${RUN_SECONDS:-10}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[[ -x $partita ]] || die "no program at $partita: run cargo build --release -p partita, or set PARTITA"
if [[ -z ${PG_BIN:-} ]]; then
    PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
fi
[[ -x $PG_BIN/postgres && -x $PG_BIN/psql ]] || die "no postgres and psql in $PG_BIN: set PG_BIN"
export PATH=$PG_BIN:$PATH

# ---- a private PostgreSQL and a server, stopped and deleted whatever happens --------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/partita-bench.XXXXXX")
chmod 755 "$work"
server_pid=
stop() {
    if [[ -n $server_pid ]]; then
        kill -TERM "$server_pid" 2>/dev/null || true
        wait "$server_pid" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

say "starting PostgreSQL and Partita"
DB_PARTITIONS_V1=1 DB_PARTITION_RETENTION_MONTHS=0 PARTITA_BACKFILL__WORKERS_MAX=0 "$partita" dev \
    --data-dir "$work/dev" --port 0 --postgres-bin "$PG_BIN" --postgres-setting max_wal_size=8GB \
    --postgres-setting shared_buffers=512MB >"$work/dev.out" 2>"$work/dev.err" &
server_pid=$!
for _ in $(seq 600); do
    grep -q '^Partita serves' "$work/dev.out" && break
    kill -0 "$server_pid" 2>/dev/null || { cat "$work/dev.err" >&2; die "Partita did not start"; }
    sleep 0.1
done
address=$(sed -n 's/^Partita serves gRPC on \([^,]*\),.*/\1/p' "$work/dev.out")
DATABASE_URL=$(grep -o "postgres://[^']*" "$work/dev.out" | head -1)
export DATABASE_URL PARTITA_SERVER=http://$address
[[ $address == 127.0.0.1:* ]] || die "this is for loopback addresses only"

sql() { psql -XAtq -v ON_ERROR_STOP=1 "$DATABASE_URL" "$@"; }
# Seconds that a command takes, on standard output; its own goes to standard error.
timed() {
    local begun; begun=$(date +%s%N)
    "$@" >&2
    awk -v ns=$(($(date +%s%N) - begun)) 'BEGIN { printf "%.3f\n", ns / 1e9 }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# ---- history: five tenants, six months, 20,000 streams -------------------------------------------------------------

say "writing $rows rows of history"
sql -c "SET session_replication_role = replica; TRUNCATE event_store, event_store_partitioned, event_store_stream;" -c "
    INSERT INTO event_store (event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data,
        event_metadata, tenant_id, user_id, correlation_id, event_hash, previous_event_hash, event_timestamp, created_at)
    SELECT gen_random_uuid(), 'Happened', 'order', (n % 20000)::text, 1 + n / 20000,
        jsonb_build_object('n', n, 'text', repeat(md5(n::text), 8)), '{\"source\": \"monolith\"}', 'history-' || n % 5,
        'monolith', 'c-' || n, md5(n::text) || md5('x' || n), md5((n - 20000)::text) || md5('x' || n - 20000),
        now() - interval '181 days' + n * (interval '180 days' / $rows), now()
    FROM generate_series(0, $rows - 1) AS n" -c "VACUUM ANALYZE event_store"

empty() {
    sql -c "SET session_replication_role = replica; TRUNCATE event_store_partitioned, event_store_stream;" \
        -c "TRUNCATE event_store_backfill_unit" \
        -c "UPDATE event_store_tenant SET history_position = 0 WHERE tenant_id LIKE 'history-%'" -c "CHECKPOINT"
}
sql -c "SELECT event_store_create_months(tenant, ARRAY(SELECT event_store_legacy_month(tenant)))
    FROM (SELECT 'history-' || n AS tenant FROM generate_series(0, 4) AS n) AS tenants" >/dev/null

columns="event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata, tenant_id,
    user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy, ip_address, user_agent,
    session_id, request_id, event_hash, previous_event_hash, event_timestamp, created_at"
bare() { sql -c "INSERT INTO event_store_partitioned ($columns, position)
    SELECT $columns, -row_number() OVER () FROM event_store WHERE tenant_id LIKE 'history-%'"; }
backfill() { "$partita" migration --direct backfill start --rows-per-second 0 --workers 2 --lock-waits-max 0 >"$work/run.out" 2>&1; }
verify() { "$partita" migration --direct verify >"$work/verify.out" 2>&1; }

: >"$work/bare"; : >"$work/backfill"; : >"$work/verify"
for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    empty; timed bare >>"$work/bare"
    empty; timed backfill >>"$work/backfill"
    [[ $(sql -c "SELECT count(*) FROM event_store_partitioned") == "$rows" ]] || die "the backfill is not complete"
    timed verify >>"$work/verify"
done

# ---- appends, alone and beside a backfill with the default limits ---------------------------------------------------

# Throughput and p99 of `partita bench`, of one run.
appends() {
    "$partita" bench append --clients "$clients" --duration "$seconds" --runs 1 -o json 2>/dev/null |
        sed -E 's/.*"median":\{[^}]*"events_per_second":([0-9.eE+-]+)[^}]*"p99_ms":([0-9.]+).*/\1 \2/'
}
: >"$work/alone"; : >"$work/beside"
for round in $(seq "$rounds"); do
    appends >>"$work/alone"
    empty
    "$partita" migration --direct backfill start --rows-per-second 5000 --workers 2 --lock-waits-max 8 >"$work/run.out" 2>&1 &
    run_pid=$!
    appends >>"$work/beside"
    kill -INT "$run_pid" 2>/dev/null || say "the backfill ended before the appends did: raise ROWS"
    wait "$run_pid" || true
    "$partita" migration --direct backfill cancel >/dev/null || true
done

# ---- reads of half backfilled streams, and of the same behind the fence -----------------------------------------------

# What is left of the history would only make the proof longer.
sql -c "SET session_replication_role = replica; TRUNCATE event_store"
empty
reads() {
    "$partita" bench read --launch half --streams 500 --events 100 --clients "$readers" --duration "$seconds" --runs 1 \
        -o json 2>/dev/null | sed -E 's/.*"median":\{[^}]*"events_per_second":([0-9.eE+-]+).*/\1/'
}
# migrate WORDS...: one command of the migration, which has to succeed
migrate() { "$partita" migration "$@" >"$work/run.out" 2>&1 || { cat "$work/run.out" >&2; die "migration $1 failed"; }; }
: >"$work/union"; : >"$work/fenced"
reads >/dev/null
migrate --direct backfill start --rows-per-second 0 --workers 2 --lock-waits-max 0
for round in $(seq "$rounds"); do
    sql -c "SET session_replication_role = replica;
        DELETE FROM event_store_partitioned WHERE aggregate_id LIKE 'half-%' AND aggregate_version <= 50" -c "VACUUM ANALYZE"
    reads >>"$work/union"
    migrate --direct backfill start
    sql -c "VACUUM ANALYZE"
    migrate verify
    migrate fence --execute
    migrate verify
    reads >>"$work/fenced"
    migrate unfence
done

bare=$(median <"$work/bare"); copied=$(median <"$work/backfill"); verified=$(median <"$work/verify")
alone=$(cut -d' ' -f1 "$work/alone" | median); alone_p99=$(cut -d' ' -f2 "$work/alone" | median)
beside=$(cut -d' ' -f1 "$work/beside" | median); beside_p99=$(cut -d' ' -f2 "$work/beside" | median)
union=$(median <"$work/union"); fenced=$(median <"$work/fenced")
awk -v rows="$rows" -v bare="$bare" -v copied="$copied" -v verified="$verified" -v alone="$alone" -v beside="$beside" \
    -v alone_p99="$alone_p99" -v beside_p99="$beside_p99" -v clients="$clients" \
    -v union="$union" -v fenced="$fenced" -v readers="$readers" 'BEGIN {
    print "| what | rows/s | ratio | wanted |"
    print "|---|---|---|---|"
    printf "| one bare INSERT … SELECT of %d rows | %d | 1 | |\n", rows, rows / bare
    printf "| backfill, two workers, unthrottled | %d | %.2f of bare | 0.7 |\n", rows / copied, bare / copied
    printf "| verify, two workers | %d | %.2f of backfill | 2 |\n", rows / verified, copied / verified
    printf "| appends of %d clients, alone | %d, p99 %.1f ms | 1 | |\n", clients, alone, alone_p99
    printf "| the same beside a backfill of 5,000 rows/s | %d, p99 %.1f ms | %.2f, p99 %.2f | 0.8, p99 2 |\n",
        beside, beside_p99, beside / alone, beside_p99 / alone_p99
    printf "| reads of 100 events by %d readers, fenced | %d | 1 | |\n", readers, fenced
    printf "| the same, the older half in the legacy table alone | %d | %.2f | 0.5 |\n", union, union / fenced
}'
