#!/bin/sh
# Install the named Debian packages that are missing, without starting a server from them.
#
# A freshly installed rabbitmq-server, redis-server or nginx starts at once, on the default port (nginx: 80), where it
# could be taken for somebody's real one; our tests start their own on free ports. Debian asks /usr/sbin/policy-rc.d
# before it starts a service. Where there is none we lend one for the time of the installation; one that is there is
# obeyed.
set -eu

POLICY=/usr/sbin/policy-rc.d
MARK='# lent by Storefront while packages install'

say() { printf '%s\n' "$*" >&2; }

missing=''
for package in "$@"; do
    case $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true) in
    installed) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    say "Storefront: this is not Debian or Ubuntu; install it yourself:$missing"
    exit 1
elif [ "$(id -u)" -eq 0 ]; then
    as_root=''
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    say "Storefront: not root, and sudo asks for a password; please run: sudo apt-get install$missing"
    exit 1
fi

return_policy() {
    if [ "$lent" = yes ]; then $as_root rm -f "$POLICY"; fi
}

# Asked of the files, not of systemd: it need not be running.
enabled_units() {
    if command -v systemctl >/dev/null; then
        systemctl --root=/ --no-legend --state=enabled list-unit-files 2>/dev/null | cut -d ' ' -f 1
    fi
}

# A mark of ours on a policy that is already there means that an earlier run was killed: it is ours to remove.
lent=no
trap return_policy EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$POLICY" ] || grep -qsF "$MARK" "$POLICY"; then
    lent=yes
    printf '#!/bin/sh\n%s\nexit 101\n' "$MARK" | $as_root tee "$POLICY" >/dev/null
    $as_root chmod 755 "$POLICY"
fi

say "Storefront: installing$missing"
enabled_before=$(enabled_units)
# A broken third-party list is not our business: the installation says whether the packages can be had.
$as_root apt-get -q update >&2 || true
# shellcheck disable=SC2086  # words on purpose
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $missing >&2

# Installed for tests is not installed for service: what came along shall not start with the machine either.
enabled_units | while read -r unit; do
    case "
$enabled_before
" in
    *"
$unit
"*) ;;
    *) $as_root systemctl --root=/ --quiet disable "$unit" >&2 || true ;;
    esac
done
