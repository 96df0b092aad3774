#!/usr/bin/env bash
# Measures what many partitions cost: one database of many tenants × months against one of 1 tenant × as many months, in
# one run, on one private, durable PostgreSQL that is made for it and deleted afterwards, by one server each. Prints
# Markdown on standard output, progress on standard error. docs/performance.md tells what is compared.
#
#   cargo build --release -p partita
#   deploy/bench/scale.sh > scale.md
#
# The sides take turns within each round, in an order that changes with the round, so that a machine that slows down slows
# them all; the figures are medians of the rounds. Settings, by variable:
#   PARTITA       the program                              target/release/partita
#   PG_BIN        bin folder of PostgreSQL                 looked for
#   TENANTS       tenants of the large database            500
#   MONTHS        months of each tenant, 4 to 20           20
#   CLIENTS       callers at the same time                 16
#   ROUNDS        rounds                                   5
#   RUN_SECONDS   how long each is measured                5
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(realpath "$here/../..")
partita=$(realpath "${PARTITA:-$root/target/release/partita}")
tenants=${TENANTS:-500}
months=${MONTHS:-20}
clients=${CLIENTS:-16}
rounds=${ROUNDS:-5}
seconds=${RUN_SECONDS:-5}
# Streams that a load appends to or reads: a multiple of the tenants, so that each has as many.
streams=$((tenants * ((1000 + tenants - 1) / tenants)))
events=20

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[[ -x $partita ]] || die "no program at $partita: run cargo build --release -p partita, or set PARTITA"
[[ $tenants =~ ^[0-9]+$ && $tenants -ge 2 && $tenants -le 1000 ]] || die "TENANTS is $tenants, must be 2 to 1000"
[[ $months =~ ^[0-9]+$ && $months -ge 4 && $months -le 20 ]] || die "MONTHS is $months, must be 4 to 20"
if [[ -z ${PG_BIN:-} ]]; then
    PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
    [[ -x $PG_BIN/postgres ]] || PG_BIN=$(dirname "$(command -v postgres || true)")
fi
for program in postgres psql; do
    [[ -x $PG_BIN/$program ]] || die "no $program in $PG_BIN: set PG_BIN to PostgreSQL's bin folder"
done
export PATH=$PG_BIN:$PATH

# ---- a private PostgreSQL, two databases, two servers; stopped and deleted whatever happens -----------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/partita-scale.XXXXXX")
# For root, PostgreSQL runs as another user, who must be able to enter.
chmod 755 "$work"
pids=()
stop() {
    local at
    # The server first that came last: the first one ends PostgreSQL with it.
    for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
        kill -TERM "${pids[at]}" 2>/dev/null || true
        wait "${pids[at]}" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

# The limits of the platform are not what is measured; maintenance begins when it is told to.
export DB_PARTITIONS_V1=1 PARTITA_MAINTENANCE__ENABLED=false PARTITA_PARTITIONS__TENANTS_MAX=1000

# await WHAT FILE PATTERN PID
await() {
    for _ in $(seq 600); do
        grep -q "$3" "$2" 2>/dev/null && return
        kill -0 "$4" 2>/dev/null || { cat "$work"/*.err >&2; die "$1 did not start"; }
        sleep 0.1
    done
    die "$1 did not start within a minute"
}

say "starting PostgreSQL and two servers"
"$partita" dev --data-dir "$work/dev" --port 0 --postgres-bin "$PG_BIN" >"$work/one.out" 2>"$work/one.err" &
pids+=($!)
await "Partita" "$work/one.out" '^Partita serves' "${pids[0]}"
address=$(sed -n 's/^Partita serves gRPC on \([^,]*\),.*/\1/p' "$work/one.out")
url=$(grep -o "postgres://[^']*" "$work/one.out" | head -1)
[[ $url =~ ^(postgres://([^:]+):([^@]+)@([^:]+):([0-9]+)/)([^?]+)(.*)$ ]] || die "Partita did not tell its database"
export PGUSER=${BASH_REMATCH[2]} PGPASSWORD=${BASH_REMATCH[3]} PGHOST=${BASH_REMATCH[4]} PGPORT=${BASH_REMATCH[5]}
declare -A database=([one]=${BASH_REMATCH[6]} [many]=partita_many) server=([one]=http://$address)
many_url=${BASH_REMATCH[1]}partita_many${BASH_REMATCH[7]}
[[ $PGHOST == 127.0.0.1 && $address == 127.0.0.1:* ]] || die "this is for loopback addresses only"

# sql SIDE ARGUMENTS...
sql() { local side=$1; shift; PGDATABASE=${database[$side]} psql -XAtq -v ON_ERROR_STOP=1 "$@"; }

sql one -c "CREATE DATABASE partita_many"
DATABASE_URL=$many_url "$partita" migrate up >/dev/null
DATABASE_URL=$many_url PARTITA_LISTEN=127.0.0.1:0 PARTITA_OPS__LISTEN=off "$partita" serve >"$work/many.out" 2>"$work/many.err" &
pids+=($!)
await "the second server" "$work/many.err" 'listen=' "${pids[1]}"
server[many]=http://$(grep -oE '127\.0\.0\.1:[0-9]+' "$work/many.err" | head -1)

# All months of a tenant in a transaction of its own.
build() {
    local side=$1 count=$2
    sql "$side" >/dev/null <<SQL
SELECT format(
    'SELECT event_store_create_months(%L, ARRAY(SELECT now() - make_interval(months => n) FROM generate_series(-2, %s) AS n))',
    'bench-' || tenant, $months - 3)
FROM generate_series(0, $count - 1) AS tenant
\gexec
SQL
}

# Milliseconds that a command takes.
timed() {
    local begun ended
    begun=$(date +%s%N)
    "$@" >/dev/null
    ended=$(date +%s%N)
    echo $(((ended - begun) / 1000000))
}

say "building 1 and $tenants tenants of $months months"
building_one=$(timed build one 1)
building_many=$(timed build many "$tenants")
maintain() { PARTITA_SERVER=${server[$1]} "$partita" partitions maintain -o json; }
# Raises the floors, so that there is nothing to do from now on.
for side in one many; do maintain "$side" >/dev/null; done

# ---- measuring ----------------------------------------------------------------------------------------------------

# What is compared: a database, and the tenants that the load is spread over.
declare -A side=([one]=one [many]=many [spread]=many) spread=([one]=1 [many]=1 [spread]=$tenants)

# bench WHAT CASE ARGUMENTS...: prints "rate p50_ms p99_ms"
bench() {
    local what=$1 case=$2; shift 2
    PARTITA_SERVER=${server[${side[$case]}]} "$partita" bench "$what" --streams "${load_streams:-$streams}" --tenants "${spread[$case]}" \
        --runs 1 -o json "$@" 2>/dev/null | sed -E \
        's/.*"median":\{[^}]*"calls_per_second":([0-9.eE+-]+)[^}]*"p50_ms":([0-9.]+)[^}]*"p99_ms":([0-9.]+).*/\1 \2 \3/'
}

# record NAME CASE COMMAND...
record() {
    local name=$1 case=$2 figures; shift 2
    figures=$("$@")
    [[ $figures =~ ^[0-9.eE+]+\ [0-9.]+\ [0-9.]+$ ]] || die "$name of $case gave no figures: $figures"
    say "  $name, $case: $figures"
    printf '%s %s %s\n' "$name" "$case" "$figures" >>"$work/figures"
}

one_round() {
    local case
    for case in "$@"; do
        record append "$case" bench append "$case" --clients "$clients" --duration "$seconds" --warm-up 2
    done
    for case in "$@"; do
        record read "$case" bench read "$case" --clients "$clients" --events $events --duration "$seconds" --warm-up 2
    done
}

# The first use of a tenant by a session loads its catalogue entries: not what a round is about.
say "warming up"
for case in one many spread; do
    bench append "$case" --clients "$clients" --duration "$seconds" --warm-up 0 >/dev/null
    bench read "$case" --clients "$clients" --events $events --duration "$seconds" --warm-up 0 >/dev/null
done
load_before=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo '?')
for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    if ((round % 2)); then one_round one many spread; else one_round spread many one; fi
done

# The most locks that a session of such a name holds at once, looked for while one caller calls.
sample_locks() {
    sql "${side[$1]}" 2>&1 <<SQL | sed -n 's/.*most locks: //p'
DO \$\$
DECLARE
    most bigint := 0;
BEGIN
    FOR look IN 1..300 LOOP
        PERFORM pg_stat_clear_snapshot();
        most := greatest(most, (
            SELECT max(held.locks)
            FROM (
                SELECT count(*) AS locks
                FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
                WHERE granted AND activity.application_name = '$2' AND activity.datname = current_database()
                GROUP BY pid
            ) AS held
        ));
        PERFORM pg_sleep(0.005);
    END LOOP;
    RAISE NOTICE 'most locks: %', most;
END
\$\$
SQL
}
locks() {
    local what=$1 case=$2 name=$3 generator load_streams=${spread[$2]}
    bench "$what" "$case" --clients 1 --duration 8 --warm-up 0 --events "$4" >/dev/null &
    generator=$!
    # The streams are prepared first, by more callers than one.
    sleep 4
    sample_locks "$case" "$name"
    wait "$generator"
}

# Milliseconds that a page of a stream is planned: the first time in a session, and the median of the next 29.
page=$(cat "$root/crates/store/sql/read_stream/page_union_forwards.sql")
planning() {
    local arguments
    arguments=$(sql "$1" -c "SELECT format('%L, %L, %L, 1, 20, ''0001-01-01Z'', ''9999-12-31Z'', %L, %L, 128', tenant_id,
        aggregate_type, aggregate_id, first_timestamp, last_timestamp + interval '1 microsecond')
        FROM event_store_stream ORDER BY last_timestamp DESC LIMIT 1")
    {
        echo "PREPARE page (text, text, text, integer, integer, timestamptz, timestamptz, timestamptz, timestamptz, bigint) AS $page;"
        for _ in $(seq 30); do
            echo "EXPLAIN (SUMMARY) EXECUTE page ($arguments);"
        done
    } | PGOPTIONS="-c plan_cache_mode=force_custom_plan -c enable_sort=off -c jit=off -c max_parallel_workers_per_gather=0" \
        sql "$1" | sed -nE 's/^Planning Time: ([0-9.]+) ms$/\1/p' >"$work/planning"
    [[ $(wc -l <"$work/planning") == 30 ]] || die "the page was not planned"
    echo "$(head -1 "$work/planning") $(tail -n +2 "$work/planning" | sort -n | sed -n 15p)"
}

# The most memory that no other process shares with a session of such a name, in MB.
memory() {
    local pid most=0 kb
    for pid in $(sql "${side[$1]}" -c "SELECT pid FROM pg_stat_activity WHERE application_name = '$2' AND datname = current_database()"); do
        kb=$(awk '/^Private_/ { sum += $2 } END { print sum + 0 }' "/proc/$pid/smaps_rollup" 2>/dev/null || echo 0)
        ((kb > most)) && most=$kb
    done
    awk -v kb="$most" 'BEGIN { if (kb) printf "%.1f", kb / 1024; else printf "–" }'
}

say "locks, planning, memory, maintenance"
declare -A append_locks read_locks
for case in one many spread; do
    append_locks[$case]=$(locks append "$case" 'partita lane' 1)
    read_locks[$case]=$(locks read "$case" partita $events)
done
read -r cold_one warm_one <<<"$(planning one)"
read -r cold_many warm_many <<<"$(planning many)"
lane_one=$(memory one 'partita lane') lane_many=$(memory many 'partita lane')
pool_one=$(memory one partita) pool_many=$(memory many partita)
run_one=$(timed maintain one) run_many=$(timed maintain many)
psql_one=$(timed sql one -c "SELECT ensure_event_store_partitions_for_all()")
psql_many=$(timed sql many -c "SELECT ensure_event_store_partitions_for_all()")

# ---- the tables ---------------------------------------------------------------------------------------------------

say "done"
cat <<MD
PostgreSQL $(sql one -c "SHOW server_version" | cut -d' ' -f1), fsync $(sql one -c "SHOW fsync"), $(nproc) cores, $clients callers, $rounds rounds of $seconds s, medians; $streams streams, reads of $events events;
$(sql many -c "SELECT count(*) FROM event_store_partition_leaf()") partitions against $(sql one -c "SELECT count(*) FROM event_store_partition_leaf()"); load of the machine before the rounds $load_before.

MD
awk -v tenants="$tenants" -v months="$months" '
    function median(key, field,    n, i, j, t, v) {
        n = count[key]
        for (i = 1; i <= n; i++) v[i] = value[key, field, i]
        for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
        return (v[int((n + 1) / 2)] + v[int((n + 2) / 2)]) / 2
    }
    # The median of the ratios of each round to the same round of the one tenant.
    function ratio(what, case, field,    n, i) {
        n = count[what " " case]
        for (i = 1; i <= n; i++) value["ratio", 1, i] = value[what " " case, field, i] / value[what " one", field, i]
        count["ratio"] = n
        return median("ratio", 1)
    }
    function row(title, what, field, form,    line, i) {
        line = "| " title " | " sprintf(form, median(what " one", field))
        for (i = 2; i <= 3; i++) line = line " | " sprintf(form " (**%.2f**)", median(what " " cases[i], field), ratio(what, cases[i], field))
        print line " |"
    }
    { key = $1 " " $2; n = ++count[key]; for (f = 3; f <= 5; f++) value[key, f, n] = $f }
    END {
        split("one many spread", cases, " ")
        printf "| | 1 tenant × %d months | %d × %d, load on one tenant | %d × %d, load on all |\n|---|---|---|---|\n", months, tenants, months, tenants, months
        row("appends a second", "append", 3, "%d"); row("p50, ms", "append", 4, "%.2f"); row("p99, ms", "append", 5, "%.2f")
        row("reads a second", "read", 3, "%d"); row("p50, ms", "read", 4, "%.2f"); row("p99, ms", "read", 5, "%.2f")
    }' "$work/figures"
cat <<MD
| most locks of a lone append | ${append_locks[one]} | ${append_locks[many]} | ${append_locks[spread]} |
| most locks of a lone read | ${read_locks[one]} | ${read_locks[many]} | ${read_locks[spread]} |

| | 1 tenant × $months months | $tenants × $months |
|---|---|---|
| planning a page, ms: a session's first / the next | $cold_one / $warm_one | $cold_many / $warm_many |
| a lane's session, MB of its own | $lane_one | $lane_many |
| a reading session, MB of its own | $pool_one | $pool_many |
| building all partitions, s | $(awk "BEGIN { print $building_one / 1000 }") | $(awk "BEGIN { print $building_many / 1000 }") |
| a run of maintenance with nothing to do, s | $(awk "BEGIN { print $run_one / 1000 }") | $(awk "BEGIN { print $run_many / 1000 }") |
| \`ensure_event_store_partitions_for_all\` with nothing to do, s | $(awk "BEGIN { print $psql_one / 1000 }") | $(awk "BEGIN { print $psql_many / 1000 }") |
MD
