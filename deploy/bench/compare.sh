#!/usr/bin/env bash
# Measures Partita against bare PostgreSQL and against message-db: on this machine, in one run, on one private, durable
# PostgreSQL that is made for it and deleted afterwards. Prints Markdown on standard output, progress on standard error.
# docs/performance.md tells what is compared, and why it is fair.
#
#   cargo build --release -p partita
#   deploy/bench/compare.sh > table.md
#
# All that is compared takes turns within each round, so that a machine that slows down slows them all; the figures are
# medians of the rounds. Settings, by variable:
#   PARTITA       the program                              target/release/partita
#   PG_BIN        bin folder of PostgreSQL, with pgbench   looked for
#   CLIENTS       numbers of clients                       "1 8 32 64 256"
#   ROUNDS        rounds                                   3
#   RUN_SECONDS   how long each is measured                4
#   LONG_STREAM   events of the long stream                200000
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
partita=$(realpath "${PARTITA:-$here/../../target/release/partita}")
clients=${CLIENTS:-1 8 32 64 256}
rounds=${ROUNDS:-3}
seconds=${RUN_SECONDS:-4}
long_stream=${LONG_STREAM:-200000}
streams=1000

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[[ -x $partita ]] || die "no program at $partita: run cargo build --release -p partita, or set PARTITA"
if [[ -z ${PG_BIN:-} ]]; then
    PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
    [[ -x $PG_BIN/postgres ]] || PG_BIN=$(dirname "$(command -v postgres || true)")
fi
for program in postgres psql pgbench; do
    [[ -x $PG_BIN/$program ]] || die "no $program in $PG_BIN: set PG_BIN to PostgreSQL's bin folder"
done
export PATH=$PG_BIN:$PATH

# ---- a private PostgreSQL and a server, stopped and deleted whatever happens --------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/partita-bench.XXXXXX")
# For root, PostgreSQL runs as another user, who must be able to enter.
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
DB_PARTITIONS_V1=1 "$partita" dev --data-dir "$work/dev" --port 0 --postgres-bin "$PG_BIN" \
    --postgres-setting max_connections=400 >"$work/dev.out" 2>"$work/dev.err" &
server_pid=$!
for _ in $(seq 600); do
    grep -q '^Partita serves' "$work/dev.out" && break
    kill -0 "$server_pid" 2>/dev/null || { cat "$work/dev.err" >&2; die "Partita did not start"; }
    sleep 0.1
done
address=$(sed -n 's/^Partita serves gRPC on \([^,]*\),.*/\1/p' "$work/dev.out")
url=$(grep -o "postgres://[^']*" "$work/dev.out" | head -1)
[[ $url =~ ^postgres://([^:]+):([^@]+)@([^:]+):([0-9]+)/([^?]+) ]] || die "Partita did not tell its database"
export PGUSER=${BASH_REMATCH[1]} PGPASSWORD=${BASH_REMATCH[2]} PGHOST=${BASH_REMATCH[3]} PGPORT=${BASH_REMATCH[4]}
export PGDATABASE=${BASH_REMATCH[5]} PARTITA_SERVER=http://$address
[[ $PGHOST == 127.0.0.1 && $address == 127.0.0.1:* ]] || die "this is for loopback addresses only"

sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }

# ---- measuring: each prints "rate p50_ms p99_ms" ------------------------------------------------------------------

# The figures of `partita bench`, from the medians of its JSON (of one run); $1 is the rate to take.
bench() {
    local rate=$1; shift
    "$partita" bench "$@" --duration "$seconds" --runs 1 -o json 2>/dev/null | sed -E \
        "s/.*\"median\":\{[^}]*\"$rate\":([0-9.eE+-]+)[^}]*\"p50_ms\":([0-9.]+)[^}]*\"p99_ms\":([0-9.]+).*/\1 \2 \3/"
}

run_number=0
data=none data_rows=none launch=none hash=$(printf 'a%.0s' {1..64})

# pgbench with a script of ours; $1 script, $2 clients. Every run has a range of numbers of its own, for unique values.
bare() {
    local script=$1 count=$2 log=$work/log; shift 2
    mkdir -p "$log"
    pgbench -n -M prepared -f "$work/$script.sql" -c "$count" -j 2 -T "$seconds" \
        -D base=$((run_number * 40000000)) -D n=-1 -D data="$data" -D rows="$data_rows" -D hash="$hash" \
        -D launch="$launch" --log --log-prefix="$log/run" --sampling-rate=0.2 "$@" >"$work/pgbench.out" 2>&1 ||
        { cat "$work/pgbench.out" >&2; die "pgbench failed"; }
    local rate
    rate=$(sed -nE 's/^tps = ([0-9.]+).*/\1/p' "$work/pgbench.out")
    # On a busy machine many clients on one lock may not finish anything: that is a figure, too.
    rate=${rate:-0}
    cat "$log"/run.* | cut -d' ' -f3 | sort -n | awk -v rate="$rate" '
        { us[NR] = $1 }
        END { printf "%s %.3f %.3f\n", rate, us[int((NR + 1) * 0.50)] / 1000, us[int((NR + 1) * 0.99)] / 1000 }'
    rm -r "$log"
}

# Seconds that COPY needs for the long stream, as rows a second.
copy_long() {
    local begun ended
    begun=$(date +%s%N)
    sql -c "COPY (SELECT $columns FROM event_store WHERE tenant_id = 'bench-0' AND aggregate_type = 'bench'
        AND aggregate_id = '$launch-0' ORDER BY aggregate_version) TO STDOUT" >/dev/null
    ended=$(date +%s%N)
    awk -v ns=$((ended - begun)) -v rows="$long_stream" 'BEGIN { printf "%.1f %.3f %.3f\n", rows * 1e9 / ns, ns / 1e6, ns / 1e6 }'
}

# record NAME CLIENTS COMMAND...
record() {
    local name=$1 count=$2 figures; shift 2
    figures=$("$@")
    [[ $figures =~ ^[0-9.eE+]+\ [0-9.]+\ [0-9.]+$ ]] || die "$name at $count clients gave no figures: $figures"
    say "  $name, $count clients: $figures"
    printf '%s %s %s\n' "$name" "$count" "$figures" >>"$work/figures"
}

# The launch of the newest streams: what a `bench read` has just made.
newest_launch() {
    sql -c "SELECT split_part(aggregate_id, '-', 1) FROM event_store WHERE tenant_id = 'bench-0'
        ORDER BY created_at DESC LIMIT 1"
}

# CPU milliseconds spent so far by the server, and by PostgreSQL with all of its processes.
cpu_of() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); sum += $12 + $13 } END { print sum * 1000 / hz }' "$@"; }
cpu_server() { cpu_of "/proc/$server_pid/stat"; }
cpu_postgres() {
    local main pid files=()
    main=$(sed -n 1p "$(sql -c 'SHOW data_directory')/postmaster.pid")
    for pid in "$main" $(pgrep -P "$main"); do files+=("/proc/$pid/stat"); done
    cpu_of "${files[@]}"
}

# ---- what is compared ---------------------------------------------------------------------------------------------

columns="event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, event_metadata, tenant_id,
    user_id, correlation_id, causation_id, legal_basis, data_classification, retention_policy, ip_address, user_agent,
    session_id, request_id, event_hash, previous_event_hash, event_timestamp, created_at"
filled="event_id, event_type, aggregate_type, aggregate_id, aggregate_version, event_data, tenant_id, user_id,
    event_hash, previous_event_hash, event_timestamp, created_at"
row="lpad(to_hex(:v::bigint), 32, '0')::uuid, 'BenchRecorded', 'bench', 'stream-' || :s, :v::integer, :data::jsonb,
    'bench-' || :t, 'partita-bench', :hash::text, :hash::text, now(), now()"
columns=$(tr -s ' \n' ' ' <<<"$columns") filled=$(tr -s ' \n' ' ' <<<"$filled") row=$(tr -s ' \n' ' ' <<<"$row")

numbers='\set n :n + 1
\set v :base + :n * 256 + :client_id
\set s random(0, 999)
\set t :s % 10'

cat >"$work/one.sql" <<SQL
$numbers
INSERT INTO plain_one ($filled) VALUES ($row);
SQL
cat >"$work/two.sql" <<SQL
$numbers
WITH inserted AS (INSERT INTO plain_first ($filled) VALUES ($row) RETURNING $filled) INSERT INTO plain_second ($filled) SELECT $filled FROM inserted;
SQL
cat >"$work/rows.sql" <<SQL
\set n :n + 1
\set v :base + (:n * 8 + :client_id) * 100
\set s random(0, 999)
\set t :s % 10
INSERT INTO plain_rows ($filled) SELECT lpad(to_hex(:v::bigint + i), 32, '0')::uuid, 'BenchRecorded', 'bench', 'stream-' || :s, :v::integer + i, data::jsonb, 'bench-' || :t, 'partita-bench', :hash::text, :hash::text, now(), now() FROM unnest(:rows::text[]) WITH ORDINALITY AS sent (data, i);
SQL
cat >"$work/select.sql" <<SQL
\set s random(0, 499)
\set t :s % 10
SELECT $columns FROM event_store WHERE tenant_id = 'bench-' || :t AND aggregate_type = 'bench' AND aggregate_id = :launch || '-' || :s ORDER BY aggregate_version;
SQL
# message-db: 50 messages a stream, then the next. A category a client: its lock is one a category, and nobody waits.
messages='\set n :n + 1
\set v :base + :n * 256 + :client_id
\set stream :n / 50
\set expected :n % 50 - 1'
message() {
    printf '%s\n' "$messages" "SELECT message_store.write_message(lpad(to_hex(:v::bigint), 32, '0')::varchar, $1, 'BenchRecorded', :data::jsonb, NULL::jsonb, :expected::bigint);"
}
message "('bench' || :base || 'c' || :client_id || '-' || :stream)::varchar" >"$work/messages.sql"
message "('bench-' || :base || 'c' || :client_id || 's' || :stream)::varchar" >"$work/category.sql"

# LIKE copies columns, defaults, checks and indexes; no triggers.
for table in plain_one plain_first plain_second plain_rows; do
    sql -c "CREATE TABLE $table (LIKE event_store INCLUDING ALL)"
done

message_db=
install_message_db() {
    command -v npm >/dev/null || { say "npm is not there: message-db is left out"; return 0; }
    (cd "$work" && npm pack --silent @eventide/message-db >/dev/null 2>&1 && tar xzf eventide-message-db-*.tgz) ||
        { say "npm cannot fetch @eventide/message-db: message-db is left out"; return 0; }
    DATABASE_NAME=message_store bash "$work/package/database/install.sh" >"$work/message-db.out" 2>&1 ||
        { cat "$work/message-db.out" >&2; die "message-db cannot be installed"; }
    message_db=$(cat "$work/package/database/VERSION.txt")
}
messages() { PGDATABASE=message_store PGOPTIONS='-c search_path=message_store,public' bare "$@"; }
install_message_db

# The same document for all: what `partita bench` stored. Its first appends make the partitions, too.
say "warming up"
bench calls_per_second append --warm-up 0 --streams $streams >/dev/null
data=$(sql -c "SELECT event_data FROM event_store WHERE tenant_id = 'bench-0' LIMIT 1")
data_rows=$(sql -c "SELECT array_agg(\$json\$$data\$json\$::text) FROM generate_series(1, 100)")

append_round() {
    local count=$1
    record partita "$count" bench calls_per_second append --clients "$count" --streams $streams --tenants 10 --warm-up 1
    run_number=$((run_number + 1))
    record one "$count" bare one "$count"
    record two "$count" bare two "$count"
    if [[ -n $message_db ]]; then record message-db "$count" messages messages "$count"; fi
}

for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    for count in $clients; do append_round "$count"; done
    run_number=$((run_number + 1))
    record partita-100 8 bench events_per_second append --clients 8 --events 100 --streams $streams --warm-up 1
    record rows-100 8 bare rows 8
    record partita-short 8 bench events_per_second read --clients 8 --streams 500 --events 100 --warm-up 1
    launch=$(newest_launch)
    record select-short 8 bare select 8
    record partita-long 1 bench events_per_second read --clients 1 --streams 1 --events "$long_stream" --warm-up 0
    launch=$(newest_launch)
    record copy-long 1 copy_long
done

say "CPU of an append, 64 clients"
events() { sql -c "SELECT sum(last_position) FROM event_store_tenant"; }
if [[ -r /proc/$server_pid/stat ]]; then
    before="$(events) $(cpu_server) $(cpu_postgres)"
    TIMEFORMAT='%U %S'
    generator=$({ time "$partita" bench append --clients 64 --duration 10 --warm-up 0 --runs 1 >/dev/null 2>&1; } 2>&1)
    after="$(cpu_server) $(cpu_postgres) $(events)"
    echo "$before $after $generator" >"$work/cpu"
fi

say "a slow flush: commit_delay = 1 ms"
slow() { sql -c "ALTER SYSTEM SET commit_delay = $1" -c "ALTER SYSTEM SET commit_siblings = $2" -c "SELECT pg_reload_conf()" >/dev/null; }
for round in $(seq "$rounds"); do
    run_number=$((run_number + 1))
    record partita-fast 256 bench calls_per_second append --clients 256 --streams $streams --warm-up 1
    slow 1000 0
    record partita-slow 256 bench calls_per_second append --clients 256 --streams $streams --warm-up 1
    if [[ -n $message_db ]]; then record category-slow 256 messages category 256; fi
    slow 0 5
done

# ---- the tables ---------------------------------------------------------------------------------------------------

say "done"
cat <<MD
PostgreSQL $(sql -c "SHOW server_version" | cut -d' ' -f1), fsync $(sql -c "SHOW fsync"), $(nproc) cores, $rounds rounds of $seconds s, medians, long stream of $long_stream events${message_db:+; message-db $message_db}.

MD
awk -v clients="$clients" -v message_db="$message_db" '
    function median(key, field,    n, i, j, t, v) {
        n = count[key]
        if (!n) return 0
        for (i = 1; i <= n; i++) v[i] = value[key, field, i]
        for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
        return (v[int((n + 1) / 2)] + v[int((n + 2) / 2)]) / 2
    }
    function cell(key) {
        if (!count[key]) return "–"
        return sprintf("%d (%.2f / %.2f)", median(key, 3), median(key, 4), median(key, 5))
    }
    function ratio(a, b, field) { return count[a] && count[b] && median(b, field) > 0 ? sprintf("**%.2f**", median(a, field) / median(b, field)) : "–" }
    function pair(what, a, b) {
        printf "| %s | %d | %d | %s |\n", what, median(a, 3), median(b, 3), ratio(a, b, 3)
    }
    { key = $1 " " $2; n = ++count[key]; for (f = 3; f <= 5; f++) value[key, f, n] = $f }
    END {
        print "Appends a second of one event (p50 / p99 in ms), and ratios of throughput:\n"
        print "| clients | Partita | one plain table | two plain tables | message-db | Partita to one | to two | to message-db |"
        print "|---|---|---|---|---|---|---|---|"
        many = split(clients, c, " ")
        for (i = 1; i <= many; i++) {
            p = "partita " c[i]; o = "one " c[i]; t = "two " c[i]; m = "message-db " c[i]
            printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", c[i], cell(p), cell(o), cell(t), cell(m), ratio(p, o, 3), ratio(p, t, 3), ratio(p, m, 3)
        }
        count_rows = "rows-100 8"; for (i = 1; i <= count[count_rows]; i++) value[count_rows, 3, i] *= 100
        short = "select-short 8"; for (i = 1; i <= count[short]; i++) value[short, 3, i] *= 100
        print "\nEvents a second:\n"
        print "| what | Partita | PostgreSQL alone | ratio |"
        print "|---|---|---|---|"
        pair("append 100 events, 8 clients; 100 rows by UNNEST into one plain table", "partita-100 8", count_rows)
        pair("read streams of 100 events, 8 clients; SELECT of the same rows", "partita-short 8", short)
        pair("read one long stream, 1 client; COPY of the same rows by psql", "partita-long 1", "copy-long 1")
        print "\nA flush that takes 1 ms longer (commit_delay = 1000, commit_siblings = 0), 256 clients, appends a second:\n"
        print "| what | with | compared to | ratio |"
        print "|---|---|---|---|"
        pair("Partita, to itself without", "partita-slow 256", "partita-fast 256")
        if (message_db != "") pair("Partita, to message-db in one category", "partita-slow 256", "category-slow 256")
    }' "$work/figures"
if [[ -s $work/cpu ]]; then
    awk '{
        events = $6 - $1
        printf "\nCPU of an append of one event, 64 clients, in µs: generator %.0f, Partita %.0f, PostgreSQL %.0f.\n", ($7 + $8) * 1e6 / events, ($4 - $2) * 1000 / events, ($5 - $3) * 1000 / events
    }' "$work/cpu"
fi
