#!/bin/sh
# Runs a command as a pod does: on a read-only file system, as a user nobody knows, without a home, with the ServiceAccount's
# files where Kubernetes puts them.
# usage: jail.sh PYTHON_HOME SERVICEACCOUNT_FILES COMMAND...  (as root of a mount namespace of its own; JAIL_USER: who to become)
set -eu
base=$1
account=$2
shift 2
given=$account.bound
mkdir "$given"
mount --bind "$account" "$given"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
mount --bind "$given" /run/secrets/kubernetes.io/serviceaccount
# The user must get to the interpreter, wherever this machine keeps it; what is beside it is out of sight.
top=$(echo "$base" | cut -d/ -f2)
if [ "$top" != usr ] && [ "$top" != opt ]; then
  kept=$account.python
  mkdir "$kept"
  mount --bind "$base" "$kept"
  mount -t tmpfs -o mode=755 tmpfs "/$top"
  mkdir -p "$base"
  mount --bind "$kept" "$base"
fi
findmnt -rno TARGET | while read -r where; do
  mount -o remount,bind,ro "$where" 2>/dev/null || true
done
if touch /tmp/writable /var/writable /dev/shm/writable 2>/dev/null; then
  echo "the file system can be written to" >&2
  exit 3
fi
cd /
user=${JAIL_USER:-}
unset JAIL_USER
if [ -z "$user" ]; then
  exec "$@"
fi
exec setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all "$@"
