# Start PostgreSQL, after making its files where there are none. Run by manifests/example as the
# user that the files are to belong to.
set -eu
case "${POSTGRES_PASSWORD:-}" in
    "")
        echo "POSTGRES_PASSWORD is empty: write one into the Secret (see example/kustomization.yaml)" >&2
        exit 1
        ;;
    *[!A-Za-z0-9]*)
        echo "POSTGRES_PASSWORD may hold letters and digits only: it becomes part of a URL" >&2
        exit 1
        ;;
esac
alone() {
    # Without anybody connected; what it is told must not be in the log.
    postgres --single -D "$1" -c exit_on_error=on -c log_statement=none postgres > /dev/null
}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Made beside and moved into place: a pod that dies half way begins anew.
    rm -rf "$PGDATA.new"
    initdb --pgdata="$PGDATA.new" --username="$POSTGRES_USER" --auth=scram-sha-256 \
        --pwfile=/dev/stdin --encoding=UTF8 --locale=C.UTF-8 <<END
$POSTGRES_PASSWORD
END
    echo "host all all all scram-sha-256" >> "$PGDATA.new/pg_hba.conf"
    echo "CREATE DATABASE \"$POSTGRES_USER\";" | alone "$PGDATA.new"
    rmdir "$PGDATA" 2> /dev/null || true
    mv "$PGDATA.new" "$PGDATA"
else
    # A new password in the Secret is a new password here.
    echo "ALTER ROLE \"$POSTGRES_USER\" PASSWORD '$POSTGRES_PASSWORD';" | alone "$PGDATA"
fi
unset POSTGRES_PASSWORD
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
