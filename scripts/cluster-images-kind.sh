#!/usr/bin/env bash
# TULLE_IMAGE_LOAD for kind (KIND_CLUSTER) and k3d (K3D_CLUSTER): NAME:TAG DIR --from BASE [--entrypoint ..] [--cmd ..] [--env K=V] [--user U] [--workdir D]
# An image that has a Dockerfile (TULLE_IMAGE_DOCKERFILE, TULLE_IMAGE_BUILD_ARGS) is built from it instead.
set -euo pipefail
name=$1 folder=$2
shift 2
words() { printf '%s\n' $1 | sed 's/.*/"&"/' | paste -sd, -; }
lines=()
from=scratch
while [ $# -gt 0 ]; do
  case $1 in
    --from) from=$2 ;;
    --entrypoint) lines+=("ENTRYPOINT [$(words "$2")]") ;;
    --cmd) lines+=("CMD [$(words "$2")]") ;;
    --env) lines+=("ENV $2") ;;
    --user) lines+=("USER $2") ;;
    --workdir) lines+=("WORKDIR $2") ;;
    *) echo "$0: $1?" >&2; exit 2 ;;
  esac
  shift 2
done
if [ -n "${TULLE_IMAGE_DOCKERFILE-}" ]; then
  args=()
  for pair in ${TULLE_IMAGE_BUILD_ARGS-}; do args+=(--build-arg "$pair"); done
  docker build -q -f "$TULLE_IMAGE_DOCKERFILE" "${args[@]}" -t "$name" .
else
  { echo "FROM $from"; echo "COPY . /"; [ ${#lines[@]} = 0 ] || printf '%s\n' "${lines[@]}"; } |
    docker build -q -f - -t "$name" "$folder"
fi
if [ -n "${K3D_CLUSTER-}" ]; then
  k3d image import -c "$K3D_CLUSTER" "$name"
else
  kind load docker-image --name "${KIND_CLUSTER:-kind}" "$name"
fi
