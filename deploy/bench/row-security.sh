#!/usr/bin/env bash
# Measures what row security costs: a login with the app's role, with and without it, in one run, on one private, durable
# PostgreSQL that is made for it and deleted afterwards. Prints Markdown on standard output, progress on standard error.
# docs/performance.md tells what is compared.
#
#   cargo build --release -p partita
#   deploy/bench/row-security.sh > row-security.md
#
# Three cases take turns within each round, in an order that changes with the round, so that a machine that slows down slows
# them all; the figures are medians of the rounds, the ratios medians of each round's ratio to `without` in the same round:
#   without   row security is off, tenants are not named   (database.row_security = "off")
#   named     row security is off, tenants are named       (database.row_security = "auto")
#   with      row security is on, on all four tables       (the same process as `named`)
# Settings, by variable:
#   PARTITA       the program                              target/release/partita
#   PG_BIN        bin folder of PostgreSQL                 looked for
#   CLIENTS       callers at the same time                 64
#   TENANTS       numbers of tenants                       "1 50"
#   ROUNDS        rounds                                   5
#   RUN_SECONDS   how long each is measured                5
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
partita=$(realpath "${PARTITA:-$here/../../target/release/partita}")
clients=${CLIENTS:-64}
tenants=${TENANTS:-1 50}
rounds=${ROUNDS:-5}
seconds=${RUN_SECONDS:-5}
streams=1000
events=20

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[[ -x $partita ]] || die "no program at $partita: run cargo build --release -p partita, or set PARTITA"
if [[ -z ${PG_BIN:-} ]]; then
    PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
    [[ -x $PG_BIN/postgres ]] || PG_BIN=$(dirname "$(command -v postgres || true)")
fi
for program in postgres psql; do
    [[ -x $PG_BIN/$program ]] || die "no $program in $PG_BIN: set PG_BIN to PostgreSQL's bin folder"
done
export PATH=$PG_BIN:$PATH

# ---- a private PostgreSQL and two servers, stopped and deleted whatever happens -----------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/partita-row-security.XXXXXX")
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

export DB_PARTITIONS_V1=1 PARTITA_MAINTENANCE__ENABLED=false PARTITA_OPS__LISTEN=off
export PARTITA_PARTITIONS__NEW_TENANTS_PER_MINUTE=1000

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
"$partita" dev --data-dir "$work/dev" --port 0 --postgres-bin "$PG_BIN" >"$work/dev.out" 2>"$work/dev.err" &
pids+=($!)
await "Partita" "$work/dev.out" '^Partita serves' "${pids[0]}"
url=$(grep -o "postgres://[^']*" "$work/dev.out" | head -1)
[[ $url =~ ^postgres://([^:]+):([^@]+)@([^:]+):([0-9]+)/([^?]+)(.*)$ ]] || die "Partita did not tell its database"
export PGUSER=${BASH_REMATCH[1]} PGPASSWORD=${BASH_REMATCH[2]} PGHOST=${BASH_REMATCH[3]} PGPORT=${BASH_REMATCH[4]}
export PGDATABASE=${BASH_REMATCH[5]}
app_url="postgres://bench_app:bench@$PGHOST:$PGPORT/$PGDATABASE${BASH_REMATCH[6]}"
[[ $PGHOST == 127.0.0.1 ]] || die "this is for loopback addresses only"

sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@"; }

# turn on|off, tried until the moment comes in which nobody holds the tables.
turn() {
    local statement
    case $1 in
        on) statement="SELECT event_store_enable_row_security(), event_store_guard_legacy(true)" ;;
        off) statement="SELECT event_store_disable_row_security(), event_store_guard_legacy(false)" ;;
    esac
    for _ in $(seq 50); do
        sql -c "$statement" >/dev/null 2>"$work/turn.err" && return
        sleep 0.2
    done
    cat "$work/turn.err" >&2
    die "row security could not be turned $1"
}

sql -c "CREATE ROLE bench_app LOGIN PASSWORD 'bench'" -c "GRANT event_store_app TO bench_app"
turn off
declare -A server
# start NAME MODE
start() {
    DATABASE_URL=$app_url PARTITA_LISTEN=127.0.0.1:0 PARTITA_DATABASE__ROW_SECURITY=$2 \
        "$partita" serve >"$work/$1.out" 2>"$work/$1.err" &
    pids+=($!)
    await "the server \`$1\`" "$work/$1.err" 'listen=' "${pids[-1]}"
    server[$1]=http://$(grep -oE '127\.0\.0\.1:[0-9]+' "$work/$1.err" | head -1)
}
start without off
start named auto
server[with]=${server[named]}

# ---- measuring ----------------------------------------------------------------------------------------------------

# bench CASE WHAT TENANTS ARGUMENTS...: prints "rate p50_ms p99_ms"
bench() {
    local case=$1 what=$2 count=$3; shift 3
    PARTITA_SERVER=${server[$case]} "$partita" bench "$what" --streams $streams --tenants "$count" --clients "$clients" \
        --runs 1 -o json "$@" 2>/dev/null | sed -E \
        's/.*"median":\{[^}]*"calls_per_second":([0-9.eE+-]+)[^}]*"p50_ms":([0-9.]+)[^}]*"p99_ms":([0-9.]+).*/\1 \2 \3/'
}

# record CASE WHAT TENANTS ARGUMENTS...
record() {
    local figures
    figures=$(bench "$@")
    [[ $figures =~ ^[0-9.eE+]+\ [0-9.]+\ [0-9.]+$ ]] || die "$2 of $3 tenants, $1, gave no figures: $figures"
    say "  $2, $3 tenants, $1: $figures"
    printf '%s-%s %s %s\n' "$2" "$3" "$1" "$figures" >>"$work/figures"
}

one_round() {
    local count case
    for count in $tenants; do
        for case in "$@"; do
            if [[ $case == with ]]; then turn on; else turn off; fi
            # The warm-up also lets a lane forget that another process wrote to its tenants.
            record "$case" append "$count" --duration "$seconds" --warm-up 2
            record "$case" read "$count" --events $events --duration "$seconds" --warm-up 1
        done
    done
}

say "warming up"
for count in $tenants; do bench without append "$count" --duration 2 --warm-up 0 >/dev/null; done
load_before=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo '?')
for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    case $((round % 3)) in
        1) one_round without named with ;;
        2) one_round with without named ;;
        0) one_round named with without ;;
    esac
done

# ---- the table ----------------------------------------------------------------------------------------------------

say "done"
cat <<MD
PostgreSQL $(sql -c "SHOW server_version" | cut -d' ' -f1), fsync $(sql -c "SHOW fsync"), $(nproc) cores, $clients callers, $rounds rounds of $seconds s, medians; $streams streams, reads of $events events;
load of the machine before the rounds $load_before.

MD
awk -v tenants="$tenants" '
    function median(key, field,    n, i, j, t, v) {
        n = count[key]
        for (i = 1; i <= n; i++) v[i] = value[key, field, i]
        for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
        return (v[int((n + 1) / 2)] + v[int((n + 2) / 2)]) / 2
    }
    function ratio(what, case, field,    n, i) {
        n = count[what " " case]
        for (i = 1; i <= n; i++) value["ratio", 1, i] = value[what " " case, field, i] / value[what " without", field, i]
        count["ratio"] = n
        return median("ratio", 1)
    }
    function row(title, what, field, form,    line, i) {
        line = "| " title " | " sprintf(form, median(what " without", field))
        for (i = 1; i <= 2; i++) line = line " | " sprintf(form " (**%.2f**)", median(what " " cases[i], field), ratio(what, cases[i], field))
        print line " |"
    }
    { key = $1 " " $2; n = ++count[key]; for (f = 3; f <= 5; f++) value[key, f, n] = $f }
    END {
        split("named with", cases, " ")
        print "| | without | tenants named, not bound | with row security |\n|---|---|---|---|"
        many = split(tenants, t, " ")
        for (i = 1; i <= many; i++) {
            of = t[i] == 1 ? "1 tenant" : t[i] " tenants"
            row("appends a second, " of, "append-" t[i], 3, "%d"); row("p50, ms", "append-" t[i], 4, "%.2f"); row("p99, ms", "append-" t[i], 5, "%.2f")
            row("reads a second, " of, "read-" t[i], 3, "%d"); row("p50, ms", "read-" t[i], 4, "%.2f"); row("p99, ms", "read-" t[i], 5, "%.2f")
        }
    }' "$work/figures"
