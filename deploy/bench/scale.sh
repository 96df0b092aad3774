#!/usr/bin/env bash
# Measures what many partitions cost: a database of many tenants against one of a single tenant, both of the same number of
# months, on this machine, in one run, on one private, durable PostgreSQL that is made for it and deleted afterwards. Prints
# Markdown on standard output, progress on standard error. docs/performance.md tells what the figures mean.
#
#   cargo build --release -p partita
#   deploy/bench/scale.sh > scale.md
#
# The two databases take turns within each round, so that a machine that slows down slows both; the figures are medians of
# the rounds. Settings, by variable:
#   PARTITA       the program                              target/release/partita
#   PG_BIN        bin folder of PostgreSQL                 looked for
#   TENANTS       tenants of the large database            500
#   MONTHS        months of each tenant, 4 to 20           20 (the current, two ahead, the rest before)
#   CLIENTS       callers at the same time                 32
#   ROUNDS        rounds                                   5
#   RUN_SECONDS   how long each is measured                4
# A small run, for a machine that has other things to do: TENANTS=20 MONTHS=4 ROUNDS=1 RUN_SECONDS=1 deploy/bench/scale.sh
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
partita=$(realpath "${PARTITA:-$here/../../target/release/partita}")
page=$here/../../crates/store/sql/read_stream/page_union_forwards.sql
tenants=${TENANTS:-500} months=${MONTHS:-20} clients=${CLIENTS:-32} rounds=${ROUNDS:-5} seconds=${RUN_SECONDS:-4}
# At least one stream a tenant and one a caller.
streams=$((tenants * 2 > clients ? tenants * 2 : clients))

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[[ -x $partita ]] || die "no program at $partita: run cargo build --release -p partita, or set PARTITA"
((months >= 4 && months <= 20)) || die "MONTHS is $months: give 4 to 20, retention takes the rest"
if [[ -z ${PG_BIN:-} ]]; then
    PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
    [[ -x $PG_BIN/postgres ]] || PG_BIN=$(dirname "$(command -v postgres || true)")
fi
for program in postgres psql; do
    [[ -x $PG_BIN/$program ]] || die "no $program in $PG_BIN: set PG_BIN to PostgreSQL's bin folder"
done
export PATH=$PG_BIN:$PATH

# ---- a private PostgreSQL and two servers, stopped and deleted whatever happens -----------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/partita-scale.XXXXXX")
# For root, PostgreSQL runs as another user, who must be able to enter.
chmod 755 "$work"
pids=()
stop() {
    # The second server first: the first one takes PostgreSQL with it.
    for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
        kill -TERM "${pids[at]}" 2>/dev/null || true
        wait "${pids[at]}" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

# wait_for PID TEXT FILE
wait_for() {
    for _ in $(seq 600); do
        grep -q "$2" "$3" && return
        kill -0 "$1" 2>/dev/null || { tail "$3" >&2; die "Partita did not start"; }
        sleep 0.1
    done
    die "Partita did not start in time"
}

say "starting PostgreSQL and two servers"
export DB_PARTITIONS_V1=1 PARTITA_MAINTENANCE__ENABLED=0
"$partita" dev --data-dir "$work/dev" --port 0 --postgres-bin "$PG_BIN" --postgres-setting max_connections=200 \
    >"$work/dev.out" 2>"$work/dev.err" &
pids+=($!)
wait_for "${pids[0]}" '^Partita serves' "$work/dev.out"
url=$(grep -o "postgres://[^']*" "$work/dev.out" | head -1)
[[ $url =~ ^postgres://([^:]+):([^@]+)@([^:]+):([0-9]+)/([^?]+) ]] || die "Partita did not tell its database"
export PGUSER=${BASH_REMATCH[1]} PGPASSWORD=${BASH_REMATCH[2]} PGHOST=${BASH_REMATCH[3]} PGPORT=${BASH_REMATCH[4]}
[[ $PGHOST == 127.0.0.1 ]] || die "this is for loopback addresses only"
psql -XAtq -d postgres -c "CREATE DATABASE one" -c "CREATE DATABASE many"

declare -A server
for name in one many; do
    export DATABASE_URL="postgres://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/$name"
    "$partita" migrate up >/dev/null
    "$partita" serve --set listen=127.0.0.1:0 --set log.format=json >"$work/$name.out" 2>"$work/$name.err" &
    pids+=($!)
    wait_for "$!" '"serving"' "$work/$name.err"
    server[$name]=http://$(sed -n 's/.*"listen":"\([^"]*\)".*/\1/p' "$work/$name.err" | head -1)
done

# sql NAME ARGUMENTS...
sql() { local name=$1; shift; psql -XAtq -v ON_ERROR_STOP=1 -d "$name" "$@"; }

# ---- the partitions -----------------------------------------------------------------------------------------------

# build NAME TENANTS: a transaction a tenant, as maintenance does it; the load generator's tenants are bench-0, bench-1, …
build() {
    sql "$1" -v tenants="$2" -v months="$months" <<'SQL'
SET client_min_messages = warning;
SELECT format(
    'SELECT event_store_create_months(%L, ARRAY(SELECT event_store_month_start(now()) + make_interval(months => m)
        FROM generate_series(3 - %s, 2) AS m))', 'bench-' || tenant, :months)
FROM generate_series(0, :tenants - 1) AS tenant \gexec
SQL
    # What maintenance sees to at its first run is not to be measured at its second.
    sql "$1" -c "UPDATE event_store_tenant SET retention_floor = event_store_month_start(now()) - interval '18 months'"
}
begun=$SECONDS
build one 1 >/dev/null
say "building $tenants tenants of $months months"
build many "$tenants" >/dev/null
leaves=$(sql many -c "SELECT count(*) FROM event_store_partition_leaf()")
say "  $leaves partitions in $((SECONDS - begun)) s"

# ---- measuring ----------------------------------------------------------------------------------------------------

# bench NAME WHAT TENANTS ARGUMENTS...: rate p50_ms p99_ms, from the medians of the JSON (of one run)
bench() {
    local name=$1 what=$2 count=$3; shift 3
    "$partita" bench "$what" --server "${server[$name]}" --clients "$clients" --streams "$streams" --tenants "$count" \
        --duration "$seconds" --warm-up 1 --runs 1 -o json "$@" 2>/dev/null | sed -E \
        's/.*"median":\{[^}]*"calls_per_second":([0-9.eE+-]+)[^}]*"p50_ms":([0-9.]+)[^}]*"p99_ms":([0-9.]+).*/\1 \2 \3/'
}

# planning NAME: planning time in ms and locks of one page of a read, in a session as the service has it
planning() {
    local statement stream
    stream=$(sql "$1" -c "SELECT aggregate_id FROM event_store_stream WHERE tenant_id = 'bench-0' LIMIT 1")
    statement=$(sed -E "s/\\\$10/100/g; s/\\\$1([^0-9]|\$)/'bench-0'\1/g; s/\\\$2([^0-9]|\$)/'bench'\1/g; \
        s/\\\$3([^0-9]|\$)/'$stream'\1/g; s/\\\$4/1/g; s/\\\$5/2147483647/g; \
        s/\\\$6/'0001-01-01'::timestamptz/g; s/\\\$7/'9999-12-31'::timestamptz/g; \
        s/\\\$8/date_trunc('month', timestamptz 'now')/g; s/\\\$9/date_trunc('month', timestamptz 'now') + interval '1 month'/g" "$page")
    # The second of two: the first one fills the session's caches.
    sql "$1" -c "SET plan_cache_mode = force_custom_plan" -c "SET enable_sort = off" -c "SET jit = off" -c BEGIN \
        -c "EXPLAIN (ANALYZE, SUMMARY) $statement" -c "EXPLAIN (ANALYZE, SUMMARY) $statement" \
        -c "SELECT 'Locks: ' || count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'" -c COMMIT |
        awk '/^Planning Time/ { ms = $3 } /^Locks/ { locks = $2 } END { print ms, locks }'
}

# memory NAME: KiB of its own that the largest session of a lane, and of a reader, has
memory() {
    local application pid kib largest
    for application in 'partita lane' partita; do
        largest=0
        for pid in $(sql "$1" -c "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = '$application'"); do
            kib=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)
            ((kib > largest)) && largest=$kib
        done
        printf '%s ' "$largest"
    done
}

# maintenance NAME: seconds that a run over all tenants takes that has nothing to do
maintenance() {
    local from till
    from=$(date +%s%N)
    "$partita" partitions maintain --server "${server[$1]}" -o json >/dev/null
    till=$(date +%s%N)
    awk -v ns=$((till - from)) 'BEGIN { printf "%.3f", ns / 1e9 }'
}

record() {
    local what=$1 figures; shift
    figures=$("$@")
    [[ $figures =~ ^[0-9] ]] || die "$what gave no figures: $figures"
    say "  $what: $figures"
    printf '%s %s\n' "$what" "$figures" >>"$work/figures"
}

for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    # Who comes first changes from round to round.
    ((round % 2)) && order="one many" || order="many one"
    for name in $order; do
        count=1; [[ $name == many ]] && count=$tenants
        record "append-$name" bench "$name" append "$count"
        record "read-$name" bench "$name" read "$count" --events 20
        record "planning-$name" planning "$name"
        record "maintenance-$name" maintenance "$name"
    done
    # The same load as on the small database: one tenant of the many.
    record append-single bench many append 1
    record read-single bench many read 1 --events 20
done
for name in one many; do record "memory-$name" memory "$name"; done

# ---- the table ----------------------------------------------------------------------------------------------------

# median WHAT COLUMN
median() {
    awk -v what="$1" -v column="$2" '$1 == what { print $(column + 1) }' "$work/figures" | sort -g |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }'; }
# row TITLE WHAT COLUMN FORMAT
row() {
    local one many single='-' compared='-'
    one=$(median "$2-one" "$3"); many=$(median "$2-many" "$3")
    if grep -q "^$2-single " "$work/figures"; then
        single=$(median "$2-single" "$3"); compared=$(ratio "$single" "$one")
        single=$(printf "$4" "$single")
    fi
    printf "| %s | $4 | $4 | **%s** | %s | %s |\n" "$1" "$one" "$many" "$(ratio "$many" "$one")" "$single" "$compared"
}

cat <<END
PostgreSQL $(sql one -c "SHOW server_version"), $(nproc) processors, $clients callers, $rounds rounds of $seconds s, medians;
$leaves partitions of $tenants tenants against $(sql one -c "SELECT count(*) FROM event_store_partition_leaf()") of one.

| | 1 tenant | $tenants tenants, load on all | ratio | $tenants tenants, load on one | ratio |
|---|---|---|---|---|---|
END
row "appends a second" append 1 %.0f
row "append p50, ms" append 2 %.2f
row "append p99, ms" append 3 %.2f
row "reads a second (streams of 20 events)" read 1 %.0f
row "read p50, ms" read 2 %.2f
row "read p99, ms" read 3 %.2f
row "planning a page of a read, ms" planning 1 %.3f
row "locks of a page of a read" planning 2 %.0f
row "memory of a lane's session, KiB" memory 1 %.0f
row "memory of a reader's session, KiB" memory 2 %.0f
row "maintenance of all, nothing to do, s" maintenance 1 %.2f
