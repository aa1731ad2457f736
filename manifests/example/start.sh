# Start PostgreSQL, after making its files where there are none. Run by manifests/example as the
# user that the files are to belong to.
set -eu
if [ -z "${POSTGRES_PASSWORD:-}" ]; then
    echo "POSTGRES_PASSWORD is empty: write one into the Secret (see example/kustomization.yaml)" >&2
    exit 1
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Made beside and moved into place: a pod that dies half way begins anew.
    rm -rf "$PGDATA.new"
    umask 077
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata="$PGDATA.new" --username="$POSTGRES_USER" --pwfile=/tmp/password \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$PGDATA.new/pg_hba.conf"
    echo "CREATE DATABASE \"$POSTGRES_USER\";" |
        postgres --single -D "$PGDATA.new" -c exit_on_error=on postgres
    rmdir "$PGDATA" 2>/dev/null || true
    mv "$PGDATA.new" "$PGDATA"
fi
unset POSTGRES_PASSWORD
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
