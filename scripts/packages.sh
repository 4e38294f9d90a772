# Sourced by the other scripts: makes sure that programs are there, from Debian packages where they are not.
# `require PROGRAM=PACKAGE …`: root installs, others are asked by sudo; where neither goes, one line says what to do.

# Administrators' programs are often not in the PATH of others.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

require() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        echo "missing system packages: ${missing[*]}"
        if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
            install_packages "${missing[@]}"
        elif command -v apt-get >/dev/null && command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            install_packages sudo "${missing[@]}"
        else
            echo "get them with: sudo apt-get install -y ${missing[*]}" >&2
            exit 1
        fi
    fi
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing; get it from https://rustup.rs" >&2
        exit 1
    fi
}

# Services among the packages are neither started now (policy-rc.d, deb-systemd-invoke(1p)) nor at the next boot: tests
# start the programs themselves, in networks of their own.
install_packages() {
    local as=() policy=/usr/sbin/policy-rc.d services=()
    if [ "$1" = sudo ]; then
        as=(sudo)
        shift
    fi
    local package
    for package in "$@"; do
        case "$package" in
            bird2) services+=(bird.service) ;;
            etcd-server) services+=(etcd.service) ;;
        esac
    done
    if [ "${#services[@]}" -gt 0 ] && [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as[@]}" install -m 755 /dev/stdin "$policy"
        # shellcheck disable=SC2064 # what it is called now
        trap "${as[*]} rm -f $policy" EXIT
    fi
    "${as[@]}" apt-get update -qq
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    if [ "${#services[@]}" -gt 0 ] && command -v systemctl >/dev/null; then
        "${as[@]}" systemctl disable --quiet "${services[@]}" || echo "disable them by hand: ${services[*]}" >&2
    fi
    if [ -n "$(trap -p EXIT)" ]; then
        "${as[@]}" rm -f "$policy"
        trap - EXIT
    fi
}
