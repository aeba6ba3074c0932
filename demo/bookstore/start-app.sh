#!/bin/sh
# Starts the app by whose name it is called, /bookbuyer; as /app/start the one that APP names. Arguments have no meaning:
# Open Service Mesh's manifests give `--port 14001`, the port that the apps have anyway.
name=$(basename "$0")
if [ "$name" = start ]; then
  name=${APP:-bookstore}
fi
# The name that Open Service Mesh's manifests give the database.
export DATABASE_HOST="${DATABASE_HOST:-mysql.bookwarehouse}"
exec node "/app/apps/$name.mjs"
