#!/usr/bin/env bash
# Measures what an open snapshot costs appends: beside a dump that does not end, PostgreSQL keeps each dead version of the
# tenant's row, which every append leaves behind. On a private, durable PostgreSQL that is made for it and deleted
# afterwards. Prints Markdown on standard output, progress on standard error. docs/performance.md tells what is compared.
#
#   cargo build --release -p partita
#   deploy/bench/snapshot.sh > snapshot.md
#
# Each round measures without a snapshot, then with one that holds so many dead versions; the ratios are medians of the rounds'.
# Settings, by variable:
#   PARTITA       the program                              target/release/partita
#   PG_BIN        bin folder of PostgreSQL                 looked for
#   CLIENTS       callers at the same time                 64
#   VERSIONS      dead versions of the tenant's row        100000
#   ROUNDS        rounds                                   3
#   RUN_SECONDS   how long each is measured                4
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
partita=$(realpath "${PARTITA:-$here/../../target/release/partita}")
clients=${CLIENTS:-64}
versions=${VERSIONS:-100000}
rounds=${ROUNDS:-3}
seconds=${RUN_SECONDS:-4}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[[ -x $partita ]] || die "no program at $partita: run cargo build --release -p partita, or set PARTITA"
[[ $versions =~ ^[0-9]+$ ]] || die "VERSIONS is $versions, must be a number"
if [[ -z ${PG_BIN:-} ]]; then
    PG_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
    [[ -x $PG_BIN/postgres ]] || PG_BIN=$(dirname "$(command -v postgres || true)")
fi
for program in postgres psql; do
    [[ -x $PG_BIN/$program ]] || die "no $program in $PG_BIN: set PG_BIN to PostgreSQL's bin folder"
done
export PATH=$PG_BIN:$PATH

# ---- a private PostgreSQL and a server, stopped and deleted whatever happens --------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/partita-snapshot.XXXXXX")
# For root, PostgreSQL runs as another user, who must be able to enter.
chmod 755 "$work"
server='' dump=''
stop() {
    [[ -z $dump ]] || kill -TERM "$dump" 2>/dev/null || true
    if [[ -n $server ]]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

export DB_PARTITIONS_V1=1 PARTITA_MAINTENANCE__ENABLED=false PARTITA_OPS__LISTEN=off
"$partita" dev --data-dir "$work/dev" --port 0 --postgres-bin "$PG_BIN" >"$work/dev.out" 2>"$work/dev.err" &
server=$!
for _ in $(seq 600); do
    grep -q '^Partita serves' "$work/dev.out" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/dev.err" >&2; die "Partita did not start"; }
    sleep 0.1
done
address=$(sed -n 's/^Partita serves gRPC on \([^,]*\),.*/\1/p' "$work/dev.out")
url=$(grep -o "postgres://[^']*" "$work/dev.out" | head -1)
[[ $address == 127.0.0.1:* && -n $url ]] || die "Partita did not start within a minute"
export PARTITA_SERVER=http://$address
sql() { psql -XAtq -v ON_ERROR_STOP=1 "$@" "$url"; }

# ---- measuring ----------------------------------------------------------------------------------------------------

# Prints "rate p50_ms p99_ms".
appends() {
    "$partita" bench append --clients "$clients" --tenants 1 --duration "$seconds" --warm-up 1 --runs 1 -o json 2>/dev/null | sed -E \
        's/.*"median":\{[^}]*"calls_per_second":([0-9.eE+-]+)[^}]*"p50_ms":([0-9.]+)[^}]*"p99_ms":([0-9.]+).*/\1 \2 \3/'
}

measure() {
    local figures
    figures=$(appends)
    [[ $figures =~ ^[0-9.eE+]+\ [0-9.]+\ [0-9.]+$ ]] || die "no figures of appends $1: $figures"
    say "  $1: $figures"
    echo "$1 $figures" >>"$work/figures"
}

hold() {
    PGAPPNAME=dump sql -c "BEGIN ISOLATION LEVEL REPEATABLE READ" -c "SELECT count(*) FROM event_store_tenant" \
        -c "SELECT pg_sleep(3600)" >/dev/null 2>&1 &
    dump=$!
    until [[ $(sql -c "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dump' AND query LIKE '%pg_sleep%'") == 1 ]]; do
        sleep 0.1
    done
    # What so many transactions of one append each would leave.
    sql -c "DO \$\$ BEGIN FOR n IN 1..$versions LOOP
        UPDATE event_store_tenant SET last_position = last_position
        WHERE ctid = (SELECT ctid FROM event_store_tenant WHERE tenant_id BETWEEN 'bench-0' AND 'bench-0' ORDER BY tenant_id DESC LIMIT 1);
        COMMIT; END LOOP; END \$\$"
}

let_go() {
    sql -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dump'" >/dev/null
    wait "$dump" || true
    dump=''
    sql -c "VACUUM event_store_tenant" -c "VACUUM event_store_stream"
}

say "warming up"
appends >/dev/null
load_before=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo '?')
for round in $(seq "$rounds"); do
    say "round $round of $rounds"
    measure without
    hold
    measure with
    let_go
done

cat <<MD
PostgreSQL $(sql -c "SHOW server_version" | cut -d' ' -f1), fsync $(sql -c "SHOW fsync"), $(nproc) cores, $clients callers, 1 tenant, $rounds rounds of $seconds s, medians; load of the machine before
the rounds $load_before. In brackets the median over the rounds of the ratio to the same round without.

| | no snapshot | one that holds $versions dead versions |
|---|---|---|
MD
awk '
    function median(key, field,    n, i, j, t, v) {
        n = count[key]
        for (i = 1; i <= n; i++) v[i] = value[key, field, i]
        for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
        return (v[int((n + 1) / 2)] + v[int((n + 2) / 2)]) / 2
    }
    function row(title, field, form,    i) {
        count["ratio"] = count["with"]
        for (i = 1; i <= count["with"]; i++) value["ratio", 1, i] = value["with", field, i] / value["without", field, i]
        printf "| %s | " form " | " form " (**%.2f**) |\n", title, median("without", field), median("with", field), median("ratio", 1)
    }
    { n = ++count[$1]; for (f = 2; f <= 4; f++) value[$1, f, n] = $f }
    END { row("appends a second", 2, "%d"); row("p50, ms", 3, "%.2f"); row("p99, ms", 4, "%.2f") }' "$work/figures"
